"""From a watch stream's responses to deltas: everything that changed in every prefix, up to one revision.

With several ranges one transaction's events arrive as one response for each range, in any order and not at
once. So when a range was heard of at revision R, the others are brought to exactly R by reading what
changed in them since the delta before. That keys were removed shows in the number of keys at R; only if the
stream has not yet told which ones, the keys are listed. What the stream delivers later, up to R, is known
already and dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from confsync.driver import Delta, Entry, Reading
from confsync_backends.etcd.ranges import Cover, decode, encode, same_path, twin
from confsync_backends.etcd.stubs import kv_pb2, rpc_pb2

Changed = dict[bytes, Any]
"""Raw key -> the KeyValue it has now, or None where it is gone."""

Ask = Callable[[Any, Cover], Any]
"""Runs a read-only TxnRequest, on behalf of a range, and gives the TxnResponse."""

_OPERATIONS = 100  # reads in one transaction; etcd allows 128


class Changes:
    """Folds events into deltas. Used by one thread.

    Attributes:
        revision: everything up to here has been delivered.
    """

    def __init__(self, covers: Sequence[Cover], since: Reading, ask: Ask) -> None:
        self.revision = since.revision
        self._covers = covers
        self._ask = ask
        self._changed: list[Changed] = [{} for _ in covers]
        self._heard = [since.revision for _ in covers]
        self._created: set[bytes] = set()
        # Only several ranges need to know which keys there are, to notice one that went away unannounced.
        self._known = [_raw_keys(cover, since) for cover in covers] if len(covers) > 1 else None

    def add(self, number: int, events: Iterable[Any]) -> None:
        """Take in what the stream said of range `number`."""
        changed = self._changed[number]
        for event in events:
            kv = event.kv
            if kv.mod_revision <= self.revision:
                continue
            self._heard[number] = max(self._heard[number], kv.mod_revision)
            changed[kv.key] = None if event.type == kv_pb2.Event.DELETE else kv
            if kv.version == 1:
                self._created.add(kv.key)

    def take(self) -> Delta | None:
        """Everything since the last delta, or None if nothing in the prefixes changed."""
        revision = max(self._heard)
        if revision <= self.revision:
            return None
        if self._known is not None:
            self._align(revision, self._known)
        elif not self._covers[0].start:
            self._tell_twins_apart(revision)
        delta = self._delta(revision)
        self.revision = revision
        self._heard = [revision for _ in self._covers]
        self._changed = [{} for _ in self._covers]
        self._created = set()
        return delta if delta.puts or delta.deletes else None

    def _align(self, revision: int, known: list[set[bytes]]) -> None:
        behind = [number for number, heard in enumerate(self._heard) if heard < revision]
        for number, answer in self._read_since(behind, revision):
            self._catch_up(number, answer, known[number], revision)
        for number, changed in enumerate(self._changed):
            known[number].update(key for key, kv in changed.items() if kv is not None)
            known[number].difference_update(key for key, kv in changed.items() if kv is None)

    def _read_since(self, behind: Sequence[int], revision: int) -> Iterator[tuple[int, Any]]:
        for first in range(0, len(behind), _OPERATIONS):
            numbers = behind[first : first + _OPERATIONS]
            ranges = [
                _range(self._covers[number], revision, min_mod_revision=self.revision + 1)
                for number in numbers
            ]
            answer = self._ask(_read_only(ranges), self._covers[numbers[0]])
            yield from zip(numbers, (one.response_range for one in answer.responses), strict=True)

    def _catch_up(self, number: int, answer: Any, known: set[bytes], revision: int) -> None:
        """Make `changed` what happened to the range up to `revision`, whatever the stream has said so far."""
        puts = {kv.key: kv for kv in answer.kvs}
        possible = len(known) + sum(1 for key in puts if key not in known)
        gone = {
            key
            for key, kv in self._changed[number].items()
            if kv is None and key in known and key not in puts
        }
        if possible - len(gone) != answer.count:
            gone = known - self._keys(number, revision)
        self._changed[number] = {**dict.fromkeys(gone), **puts}

    def _keys(self, number: int, revision: int) -> set[bytes]:
        cover = self._covers[number]
        answer = self._ask(_read_only([_range(cover, revision, keys_only=True)]), cover)
        return {kv.key for kv in answer.responses[0].response_range.kvs}

    def _tell_twins_apart(self, revision: int) -> None:
        """At the root `a` and `/a` have one path: forget one that came and went while the other was there.

        Raises:
            Invalid: both exist.
        """
        changed = self._changed[0]
        unknown = [key for key in self._created if twin(key) not in changed]
        existing = {key for key in self._created if changed.get(twin(key)) is not None}
        for first in range(0, len(unknown), _OPERATIONS):
            keys = unknown[first : first + _OPERATIONS]
            ranges = [
                rpc_pb2.RangeRequest(key=twin(key) or b"\0", revision=revision, serializable=True)
                for key in keys
            ]
            answer = self._ask(_read_only(ranges), self._covers[0])
            existing.update(
                key for key, one in zip(keys, answer.responses, strict=True) if one.response_range.count
            )
        for key in existing:
            if changed[key] is not None:
                raise same_path(decode(key).removeprefix("/"))
            del changed[key]

    def _delta(self, revision: int) -> Delta:
        puts: dict[str, dict[str, Entry]] = {}
        deletes: dict[str, frozenset[str]] = {}
        for cover, changed in zip(self._covers, self._changed, strict=True):
            for view in cover.views:
                paths = {key: path for key in changed if (path := view.path(key)) is not None}
                put = {
                    path: Entry(kv.value, kv.mod_revision)
                    for key, path in paths.items()
                    if (kv := changed[key]) is not None
                }
                gone = frozenset(
                    path for key, path in paths.items() if changed[key] is None and path not in put
                )
                if put:
                    puts[view.asked] = put
                if gone:
                    deletes[view.asked] = gone
        return Delta(revision, puts, deletes)


def _raw_keys(cover: Cover, since: Reading) -> set[bytes]:
    whole = cover.views[0]
    return {cover.start + encode(path) for path in since.trees[whole.asked]}


def _range(cover: Cover, revision: int, **more: Any) -> Any:
    # The member whose stream told of the revision has it, or is about to: no need to ask its leader.
    return rpc_pb2.RangeRequest(
        key=cover.key, range_end=cover.end, revision=revision, serializable=True, **more
    )


def _read_only(ranges: Iterable[Any]) -> Any:
    return rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_range=one) for one in ranges])
