"""What is known of the objects of one kind, put together from what comes in any order.

Three sides tell of objects, and none waits for the others: lists, the events of a watch, and the answers to our own
writes. An event may tell of what we overwrote since, a list of what was deleted while it was on its way. What happened
later counts, and the resourceVersion says what is later: of Secrets, ConfigMaps and namespaces it is a number that
grows with every write (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).

A list says how everything was at one moment, so it overrules all that was known before it was asked for, whatever
the numbers say: they start again lower where etcd is restored from a backup. Only what was told *while* it was on
its way is compared with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from confsync.sinks.kubernetes.objects import KubeObject

_BURIED = 1000
"""Tombstones kept: enough for a namespace that is emptied at once."""


class KnownObjects:
    """Objects by name. No I/O, not thread-safe: the caller holds a lock.

    Every method that may learn something gives whether it did, or the names that are otherwise now.
    """

    def __init__(self) -> None:
        self._objects: dict[str, KubeObject] = {}
        self._tombstones: OrderedDict[str, KubeObject] = OrderedDict()
        self._revision = ""  # of the last list
        self._touched: set[str] = set()  # what was told since the list that is on its way was asked for

    @property
    def objects(self) -> Mapping[str, KubeObject]:
        """All there are; changes with the next call of any method."""
        return self._objects

    def tombstone(self, name: str) -> KubeObject | None:
        """The last object of a name that has none now, without its values; None where none is remembered."""
        return self._tombstones.get(name)

    def put(self, thing: KubeObject) -> bool:
        """There was such an object: a watch says so, or the answer to our own write (but not to a dry run)."""
        if not thing.resource_version:
            return False
        if self._is_covered(thing) or not is_later(thing, self._last(thing.name)):
            return False
        self._set(thing)
        return True

    def forget(self, name: str, uid: str = "") -> bool:
        """We deleted the object of this name (and this uid)."""
        known = self._objects.get(name)
        if known is None or uid not in ("", known.uid):
            return False
        self._bury(known)
        return True

    def deleted(self, thing: KubeObject) -> bool:
        """A watch says that this object is gone, or no longer fits its selector; its resourceVersion is of that."""
        known, last = self._objects.get(thing.name), self._last(thing.name)
        if known is not None and known.uid != thing.uid:
            return False
        if last is not None and is_before(thing.resource_version, last.resource_version):
            return False
        self._bury(thing)
        return known is not None

    def begin_list(self) -> None:
        """A list is about to be asked for; one at a time."""
        self._touched = set()

    def listed(self, things: Iterable[KubeObject], revision: str) -> set[str]:
        """The list has come, as of a revision; gives the names that are otherwise than was known."""
        found = {thing.name: thing for thing in things}
        for name in self._touched:
            self._merge(found, name, revision)
        known, self._objects, self._revision = self._objects, found, revision
        for name in known.keys() - found.keys():
            self._bury(replace(known[name], resource_version=revision))
        for name in found.keys() & self._tombstones.keys():
            del self._tombstones[name]
        return {name for name in known.keys() | found.keys() if _is_other(known.get(name), found.get(name))}

    def _merge(self, found: dict[str, KubeObject], name: str, revision: str) -> None:
        """Let the list have what happened to a name while it was on its way, if that is the later."""
        known, listed = self._objects.get(name), found.get(name)
        if known is None:
            if listed is not None and not is_later(listed, self._tombstones.get(name)):
                del found[name]
        elif listed is None:
            if not _reaches(revision, known.resource_version):
                found[name] = known
        elif not is_later(listed, known):
            found[name] = known

    def _last(self, name: str) -> KubeObject | None:
        return self._objects.get(name) or self._tombstones.get(name)

    def _is_covered(self, thing: KubeObject) -> bool:
        """Whether the last list knew this, or what came of it."""
        return _reaches(self._revision, thing.resource_version)

    def _set(self, thing: KubeObject) -> None:
        self._objects[thing.name] = thing
        self._tombstones.pop(thing.name, None)
        self._touched.add(thing.name)

    def _bury(self, thing: KubeObject) -> None:
        name = thing.name
        self._objects.pop(name, None)
        self._tombstones.pop(name, None)
        self._tombstones[name] = replace(thing, data={})
        if len(self._tombstones) > _BURIED:
            self._tombstones.popitem(last=False)
        self._touched.add(name)


def is_later(thing: KubeObject, known: KubeObject | None) -> bool:
    """Whether a state of an object is later than another of the same name; where it cannot be told, it is."""
    if known is None:
        return True
    new, old = _number(thing.resource_version), _number(known.resource_version)
    if new is None or old is None:
        return thing.resource_version != known.resource_version
    return new > old


def _number(revision: str) -> int | None:
    """A resourceVersion to compare; None for one that is no number."""
    return int(revision) if revision.isascii() and revision.isdecimal() and len(revision) < 20 else None


def is_before(revision: str, other: str) -> bool:
    """Whether a resourceVersion is known to be earlier than another."""
    one, two = _number(revision), _number(other)
    return one is not None and two is not None and one < two


def _reaches(revision: str, other: str) -> bool:
    """Whether a resourceVersion is known to be the other, or later."""
    reached, wanted = _number(revision), _number(other)
    return reached is not None and wanted is not None and reached >= wanted


def _is_other(known: KubeObject | None, found: KubeObject | None) -> bool:
    if known is None or found is None:
        return known is not found
    return (known.uid, known.resource_version) != (found.uid, found.resource_version)
