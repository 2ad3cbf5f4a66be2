"""What a bar table is: names, units, series keys; Arrow, Polars and pandas in and out."""

from __future__ import annotations
