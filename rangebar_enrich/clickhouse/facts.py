"""What each stored row knows of its own history, and the rule that makes rows outdated.

Three facts stand beside a row. They are *stamps*: numbers from the series' chain of leases
(`lease`), each later than every one before it, whatever clocks say.

- `_bar_at`: under which stamp the bar last changed. 0: nobody who keeps these facts has seen it;
  rows that another program inserted say so without knowing it.
- `_follows`: close time of the bar before it when that was last looked at, 0 for the first.
- `_made_<provider>`: the stamp that the provider's features know: every bar that had changed up
  to then was seen. 0: they know nothing, not even their own bar.

A row's features are outdated when another version made them, or when a bar in their reach (the
`lookback` bars before it and its own; every earlier bar for a recursion) is later than they
know. A bar of which nobody knows, or one that follows another bar than it says (one between them
was inserted or removed), is later than anything. `stale` is that rule in SQL; `outdated`, the
plan of a backfill and the backfill itself all use this one text.

What a backfill writes gets `_made_ = S`, where S is a stamp that it was given before it read the
bars, and so do bars that nobody knew. So one that another program inserts meanwhile, or that a
later writer changes, is later than S: nothing that was computed without it passes for right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rangebar_enrich.clickhouse.columns import BAR_AT, FOLLOWS
from rangebar_enrich.clickhouse.identifiers import Sql, join, quote
from rangebar_enrich.clickhouse.schema import TableSchema, made_column, version_column

NEVER = (1 << 63) - 1
"""Later than every stamp."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A provider's features as they should be.

    Attributes:
        provider: Its name.
        version: Version that should have made them.
        lookback: Earlier bars that fix a value; `None`: all of them.
        reads: Other providers whose stored features it reads.
    """

    provider: str
    version: str
    lookback: int | None = None
    reads: tuple[str, ...] = field(default=())


def bound_versions(wanted: Sequence[Wanted]) -> dict[str, str]:
    """Return the binds that `unmade` and `stale` of these use."""
    return {f"wanted_{number}": one.version for number, one in enumerate(wanted)}


def knows_nothing(schema: TableSchema, one: Wanted) -> bool:
    """Return whether no row of the table can have features of this provider that it knows of."""
    is_made = made_column(one.provider) in schema.facts
    return not (schema.has_facts and is_made and version_column(one.provider) in schema.versions)


def unmade(schema: TableSchema, one: Wanted, number: int) -> Sql:
    """Return a condition on a row alone: its features are not this version's, or not of its bar."""
    if knows_nothing(schema, one):
        return Sql("1")
    version, made = version_column(one.provider), made_column(one.provider)
    other = f"{quote(version)} != {{wanted_{number}:String}}"
    return Sql(f"({other} OR {BAR_AT} = 0 OR {quote(made)} < {BAR_AT})")


def changed_at(*, is_first: Sql) -> Sql:
    """Return when a row's bar changed, over the window `series`; `NEVER` where nobody knows.

    Args:
        is_first: Whether the first of the rows is the first of its series; else what it follows
            is not known.
    """
    before = Sql("lagInFrame(close_time_ms, 1, 0) OVER series")
    moved = Sql(f"{FOLLOWS} != {before} AND (row_number() OVER series > 1 OR {is_first})")
    return Sql(f"if({BAR_AT} = 0 OR ({moved}), {NEVER}, {BAR_AT})")


def stale(schema: TableSchema, one: Wanted, number: int) -> Sql:
    """Return whether a row is outdated, from its `changed_at` over windows of the series."""
    if knows_nothing(schema, one):
        return Sql("1")
    alone = unmade(schema, one, number)
    first = "UNBOUNDED" if one.lookback is None else f"{int(one.lookback)}"
    parts = [Sql("changed_at"), *_other_made(schema, one)]
    latest = parts[0] if len(parts) == 1 else Sql(f"greatest({join(parts)})")
    window = f"{_PARTITION} ROWS BETWEEN {first} PRECEDING AND CURRENT ROW"
    made = quote(made_column(one.provider))
    return Sql(f"({alone} OR {made} < max({latest}) OVER ({window}))")


def _other_made(schema: TableSchema, one: Wanted) -> list[Sql]:
    names = [made_column(provider) for provider in one.reads]
    return [quote(name) for name in names if name in schema.facts]


_KEY = "symbol, threshold_decimal_bps, ouroboros_mode"
_PARTITION = f"PARTITION BY {_KEY} ORDER BY close_time_ms"
SERIES_WINDOW = Sql(
    f"WINDOW series AS ({_PARTITION} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
)
"""The window that `changed_at` reads."""
