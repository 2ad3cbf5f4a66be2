"""Whether reach claims too much of an expression, and how often, over as many as are asked for.

python tests/corpus/soundness.py EXAMPLES [SEED]

Prints each claim that does not stand, and at the end the counts.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

import polars as pl
from corpus import brute
from corpus.trees import expressions
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rangebar_enrich.reach import Reach, reach_of

TABLES = [*brute.tables(16), *brute.wild_tables(16)]


def some_tables() -> st.SearchStrategy[list[pl.DataFrame]]:
    """Draw two tables of all kinds."""
    places = st.lists(st.integers(0, len(TABLES) - 1), min_size=2, max_size=2, unique=True)
    return places.map(lambda places: [TABLES[place] for place in places])


def is_called_causal_and_leaks(expr: pl.Expr, reach: Reach, tables: Sequence[pl.DataFrame]) -> bool:
    """Say whether a causal verdict does not stand when later rows come."""
    return reach.is_causal is True and brute.leaks(expr, tables)


def claims_too_little_past(expr: pl.Expr, reach: Reach, tables: Sequence[pl.DataFrame]) -> bool:
    """Say whether a number of earlier rows does not fix a value."""
    if reach.opaque or reach.past >= tables[0].height:
        return False
    return brute.needs_more_past(expr, int(reach.past), tables)


def main(examples: int, first: int) -> None:
    """Try so many expressions and print what does not stand."""
    counts: Counter[str] = Counter()

    @seed(first)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(expressions(), some_tables())
    def judge(expr: pl.Expr, tables: list[pl.DataFrame]) -> None:
        reach = reach_of(expr)
        counts["opaque" if reach.opaque else str(reach.is_causal)] += 1
        counts["finite past"] += not reach.opaque and reach.past < tables[0].height
        for fault in (is_called_causal_and_leaks, claims_too_little_past):
            if fault(expr, reach, tables):
                counts[fault.__name__] += 1
                print(f"{fault.__name__}: {expr}", flush=True)  # noqa: T201 - for a person

    judge()
    print(f"seed {first}, {examples} examples: {dict(counts)}")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
