"""Leases: one writer at a time for each (symbol, threshold), and stamps that never go back.

A write that keeps other providers' stored values reads them first. Between that read and its
insert no other writer may change the rows, and ClickHouse has no transaction for it. So a
writer extends the series' `chain` first. A store keeps its leases from call to call, so that a
steady writer does not pay for them each time:

- A call gets a stamp greater than every one before it in the chain, and smaller than the end of
  its lease. Whoever takes over a lease that nobody released takes a stamp beyond that end. So a
  writer that was overtaken (it slept through its lease) can never replace a later writer's
  rows, whatever clocks say; after its inserts it finds out, and writes again.
- Leases are renewed from step to step of a call, and let go a third of their time after they
  were taken, or when another store of the same process asks while no call is at work. Others
  wait for an idle store no longer than its lease runs.

Leases only say how long others wait politely. No guarantee rests on a wall clock.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rangebar_enrich.clickhouse.chain import Chains, Leased, Link
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.errors import StoreError, WriteFailedError, message

logger = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
_PROCESS = uuid.uuid4().hex
_AT_ONCE = 100
"""Most leases taken before it is seen whether they were got."""
_SURE = 0.8
"""Part of a lease's time in which nobody can have taken it over, clocks being what they are."""
_PART = 3
"""A lease is renewed, and let go, a third of its time after it was taken."""


@dataclass(slots=True)
class _Held:
    """A lease that this store holds.

    Attributes:
        link: Its link of the chain.
        last_ms: The last stamp that was given under it.
        bound_ms: Stamps stay below this: others that take over go beyond it.
        taken: When it was taken, on this process' own steady clock.
        renewed: When it was renewed last, likewise.
        lapsed: Whether it may have run out before that: then another writer may have taken over.
    """

    link: Link
    last_ms: int
    bound_ms: int
    taken: float
    renewed: float
    lapsed: bool = False


class Leases:
    """The leases of one store; threads share them, and take turns for each series.

    Args:
        connection: The database.
        table: The bar table.
        lease_seconds: How long others wait for a writer that gives no sign of life.
    """

    def __init__(
        self, connection: Connection, table: TableName, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.connection = connection
        self.chains = Chains(connection, table, lease_seconds)
        self.seconds = lease_seconds
        self.holder = f"{_PROCESS}:{uuid.uuid4().hex}"
        self.held: dict[Leased, _Held] = {}
        self.ended: dict[Leased, Link] = {}
        self._left: dict[Leased, int] = {}
        self._busy: set[Leased] = set()
        self.turns: dict[Leased, int] = {}
        self._turn = threading.Condition()
        _STORES[self.holder] = self

    @contextmanager
    def hold(self, keys: Iterable[Leased], count: RetryCount) -> Iterator[Hold]:
        """Hold the leases of `keys` for one call; they are kept for the next one.

        Raises:
            WriteFailedError: Another writer held one for longer than the retry policy waits.
        """
        wanted = sorted(set(keys))
        self._take_turn(wanted)
        hold = Hold(self, count, wanted)
        try:
            hold.acquire(wanted)
            for key in wanted:
                self.turns[key] = self.turns.get(key, 0) + 1
            yield hold
        except BaseException:
            self.let_go(wanted, count)
            raise
        else:
            self.let_go([key for key in wanted if self._is_due(key)], count)
        finally:
            with self._turn:
                self._busy.difference_update(wanted)
                self._turn.notify_all()

    def _take_turn(self, keys: Sequence[Leased]) -> None:
        """Wait until no other thread of this store is at work on any of `keys`."""
        deadline = time.monotonic() + self.connection.retry.seconds
        with self._turn:
            while not self._busy.isdisjoint(keys):
                if not self._turn.wait(max(0.0, deadline - time.monotonic())):
                    raise occupied(next(k for k in keys if k in self._busy), self.connection)
            self._busy.update(keys)

    def _is_due(self, key: Leased) -> bool:
        held = self.held.get(key)
        return held is not None and time.monotonic() - held.taken > self.seconds / _PART

    def let_go(self, keys: Sequence[Leased], count: RetryCount) -> None:
        """Release what is held of `keys`; a lease that can't be released ends by itself."""
        known = [(key, self.held.pop(key)) for key in keys if key in self.held]
        done = [(k, _released(one)) for k, one in known]
        if not done:
            return
        try:
            self.chains.renew(done, count)
        except StoreError as error:
            logger.warning("a lease could not be released: %s", error)
        else:
            self.ended.update(done)

    def release_all(self) -> None:
        """Release every lease that no call is using."""
        with self._turn:
            idle = [key for key in self.held if key not in self._busy]
        self.let_go(idle, RetryCount())

    def give_up(self, key: Leased) -> int | None:
        """Leave a lease to another store of this process, unless a call is at work under it.

        Returns:
            The last stamp given under it, or `None` while it is in use.
        """
        with self._turn:
            if key in self._busy:
                return None
            held = self.held.pop(key, None)
            if held is not None:
                self._left[key] = held.last_ms
            return self._left.get(key, 0)

    def last_end(self, key: Leased) -> Link | None:
        """Return where a chain ended when this store released it, once."""
        return self.ended.pop(key, None)


def _released(held: _Held) -> Link:
    return replace(held.link, state=held.link.state + 1, stamp_ms=held.last_ms)


_STORES: weakref.WeakValueDictionary[str, Leases] = weakref.WeakValueDictionary()
"""Who is who in this process; a store that is gone writes no more."""


@dataclass(slots=True)
class Hold:
    """The leases of one call.

    Attributes:
        leases: Those of the store.
        count: Takes the retries.
        keys: What the call holds.
        stamp_ms: The stamp of the call: `computed_at` of the rows that it writes.
    """

    leases: Leases
    count: RetryCount
    keys: list[Leased]
    stamp_ms: int = 0
    _since: float = field(default_factory=time.monotonic)

    @property
    def margin_ms(self) -> int:
        """How far a feature's row goes beyond the row it replaces, ms.

        Rows that only get features keep their place in time, one step on, so that a bar which
        another program writes meanwhile is later and wins. A writer that was overtaken may still
        write its step; the next one goes further.
        """
        return 1 + max((self.leases.held[key].link.overtaken for key in self.keys), default=0)

    def acquire(self, keys: Sequence[Leased], *, after_ms: int = 0) -> None:
        """Take the leases of `keys` that are not held safely, and a new stamp.

        Args:
            keys: Some keys of the call.
            after_ms: The stamp must be later than this.
        """
        missing = [key for key in keys if not self._is_safe(key)]
        while missing:
            missing = self._claim_all(missing, after_ms)
        self._stamp(after_ms)

    def _is_safe(self, key: Leased) -> bool:
        held = self.leases.held.get(key)
        if held is None or held.lapsed:
            return False
        return time.monotonic() - held.renewed < self.leases.seconds / 2

    def _claim_all(self, keys: list[Leased], after_ms: int) -> list[Leased]:
        """Claim what can be had at once, up to the first that must be waited for."""
        known = {key: self.leases.last_end(key) for key in keys}
        found = {key: link for key, link in known.items() if link is not None}
        if len(found) < len(keys) or not self.leases.chains.clock.is_known:
            found = self.leases.chains.ends(keys)
        free = []
        for key in keys:
            if not self._is_free(key, found[key]):
                break
            free.append(key)
        free = free[:_AT_ONCE]
        if not free:
            found[keys[0]] = self._wait_for(keys[0], found[keys[0]])
            free = keys[:1]
        lost = self._claim(free, found, after_ms)
        if lost:
            # NOTE: what lies behind is let go, so that no two writers wait in a circle.
            behind = [key for key in free if key > lost[0] and key not in lost]
            self.leases.let_go(behind, self.count)
            return sorted([*lost, *behind, *keys[len(free) :]])
        return keys[len(free) :]

    def _claim(self, keys: list[Leased], found: dict[Leased, Link], after_ms: int) -> list[Leased]:
        """Offer the next link of each chain; return the keys that another writer got."""
        began = time.monotonic()
        offered = {key: self._next(key, found[key], after_ms) for key in keys}
        for key, link in offered.items():
            self.leases.chains.claim(key, link, self.count)
            self.renew()
        ends = self.leases.chains.ends(keys)
        lost = []
        for key, link in offered.items():
            end = ends[key]
            if end.holder == self.leases.holder and end.state == link.state:
                bound = max(end.ends_ms, link.stamp_ms + 1)
                self.leases.held[key] = _Held(end, link.stamp_ms - 1, bound, began, began)
                if found[key].holder != self.leases.holder:
                    self.leases.turns[key] = self.leases.turns.get(key, 0) + 1
            else:
                lost.append(key)
                if end.state < link.state:  # a token that is known although its row is gone
                    self.leases.ended[key] = replace(end, state=link.state + 1)
        return lost

    def _next(self, key: Leased, found: Link, after_ms: int) -> Link:
        now = self.leases.chains.clock.now_ms()
        beyond, overtaken = [now, found.stamp_ms + 1, after_ms + 1, self.stamp_ms], found.overtaken
        if found.state and found.state % 2 == 0 and found.holder != self.leases.holder:
            left = self._left_by(key, found)
            beyond.append(found.ends_ms if left is None else left + 1)
            overtaken += left is None
        number = found.state // 2 + 1
        return Link(2 * number, self.leases.holder, max(beyond), 0, overtaken, is_live=True)

    def _left_by(self, key: Leased, found: Link) -> int | None:
        """Return the last stamp of a holder in this process that has left, else `None`."""
        if not found.holder.startswith(_PROCESS):
            return None
        other = _STORES.get(found.holder)
        return 0 if other is None else other.give_up(key)

    def _is_free(self, key: Leased, found: Link) -> bool:
        if not found.is_held or found.holder == self.leases.holder:
            return True
        if found.holder.startswith(_PROCESS):
            return self._left_by(key, found) is not None
        # NOTE: an embedded database has one process: a holder of another one is dead.
        return self.leases.connection.address.is_embedded

    def _wait_for(self, key: Leased, found: Link) -> Link:
        seconds = self.leases.connection.retry.seconds
        deadline = time.monotonic() + seconds
        logger.info("waiting for another writer of %s@%d", *key)
        while not self._is_free(key, found):
            if time.monotonic() > deadline:
                raise occupied(key, self.leases.connection)
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - jitter, not a secret
            self.renew()
            found = self.leases.chains.ends([key])[key]
        return found

    def _stamp(self, after_ms: int) -> None:
        """Give the call a stamp later than every one of its series."""
        held = [self.leases.held[key] for key in self.keys if key in self.leases.held]
        last = max(after_ms, self.stamp_ms, *(one.last_ms for one in held))
        stamp = max(self.leases.chains.clock.now_ms(), last + 1)
        if any(stamp >= one.bound_ms for one in held):
            self._claim_beyond(stamp)
        else:
            self.stamp_ms = stamp
        for key in self.keys:
            if key in self.leases.held:
                self.leases.held[key].last_ms = self.stamp_ms

    def _claim_beyond(self, stamp: int) -> None:
        """Go on under new links whose stamp lies beyond the leases that are held."""
        ends = {key: self.leases.held[key].link for key in self.keys}
        lost = self._claim(self.keys, ends, stamp - 1)
        while lost:
            lost = self._claim_all(lost, stamp - 1)
        self.stamp_ms = max(self.leases.held[key].link.stamp_ms for key in self.keys)

    def renew(self) -> None:
        """Tell others that the writer lives; cheap to call often."""
        now, part = time.monotonic(), self.leases.seconds / _PART
        held = self.leases.held
        due = [key for key in self.keys if key in held and now - held[key].renewed > part]
        if due:
            self.leases.chains.renew([(key, held[key].link) for key in due], self.count)
            # NOTE: whoever renews a lease that had run out may have been overtaken before.
            for key in due:
                held[key].lapsed = not self._surely_held(key)
                held[key].renewed = now

    def turn(self, key: Leased) -> int:
        """Return a number that goes up by one from call to call, and by more with other stores."""
        return self.leases.turns[key]

    def lost(self) -> list[Leased]:
        """Return the keys that another writer has claimed meanwhile: their rows must be redone.

        Nothing is asked where the leases still run by this process' own steady clock.
        """
        unsure = [key for key in self.keys if not self._surely_held(key)]
        if not unsure:
            return []
        ends = self.leases.chains.ends(unsure)
        lost = [key for key in unsure if not self._is_end(key, ends[key])]
        for key in lost:
            self.leases.held.pop(key, None)
        return lost

    def _surely_held(self, key: Leased) -> bool:
        held = self.leases.held.get(key)
        if held is None or held.lapsed:
            return False
        return time.monotonic() - held.renewed < _SURE * self.leases.seconds

    def _is_end(self, key: Leased, end: Link) -> bool:
        held = self.leases.held.get(key)
        return held is not None and end.holder == held.link.holder and end.state == held.link.state


def occupied(key: Leased, connection: Connection) -> WriteFailedError:
    """Return the error of a writer whose patience ended."""
    msg = message(
        f"Another writer has held {key[0]}@{key[1]} for more than {connection.retry.seconds:g} s.",
        hint="repeat the call when that writer is done; nothing of this one was written.",
    )
    return WriteFailedError(msg)
