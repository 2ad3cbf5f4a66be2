"""Tables, futures and comparisons: what reach's proofs and the conformance checks try things on."""

from __future__ import annotations
