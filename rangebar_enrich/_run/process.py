"""A process that was forked after Polars ran: it would wait for threads that are not there."""

from __future__ import annotations

import os

from rangebar_enrich.errors import ForkedProcessError, message


class _Use:
    """Whether anything ran in this process, and whether it was forked since."""

    has_run = False
    is_stale = False


def check_process() -> None:
    """Note that something runs, unless this process was forked after something had run.

    Raises:
        ForkedProcessError: It was; Polars would hang.
    """
    if _Use.is_stale:
        msg = message(
            "This process was forked from one in which bars had been enriched: Polars would hang,"
            " for its threads do not survive a fork.",
            hint="start processes with multiprocessing.get_context('spawn'), or 'forkserver'.",
        )
        raise ForkedProcessError(msg)
    _Use.has_run = True


def _after_fork() -> None:
    _Use.is_stale = _Use.has_run


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
