"""The contract between confsync and a backend: what a driver must do, and what it may leave to the core.

A driver reads one kind of store. It connects, reads, watches, closes, and says which kind of error happened; nothing
else. Retry, last good values, layering, sharing one read between syncs, taint and metrics are the core's
(`confsync.source`), written once for all drivers. A driver must not log, sleep between retries, or cache.

A driver is a subclass of `Backend`, registered under the entry-point group `confsync.backends`:

    [project.entry-points."confsync.backends"]
    etcd = "confsync_backends.etcd:EtcdBackend"

Prove it with the suite in `confsync.testing.contract`; `confsync.testing.memory` is the example to copy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict


class DriverOptions(BaseModel):
    """Base of a driver's options: the fields a user writes under `sources: NAME:`, besides `backend`.

    Unknown fields are refused; each field's `description` becomes the reference documentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(NamedTuple):
    """One key's value.

    Attributes:
        value: the bytes stored. Text is UTF-8; the core decodes.
        revision: grows whenever this key is written (etcd's mod_revision); 0 where the store has none.
        modified: when it was last written, seconds since the epoch, or None where the store does not tell.
    """

    value: bytes
    revision: int
    modified: float | None = None


Tree = Mapping[str, Entry]
"""Relative path (`db/host`: no leading slash) -> entry, for everything under one prefix."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything under some prefixes, all at one revision.

    Attributes:
        revision: the store's revision (etcd's header revision); a watch resumes after it.
        trees: the prefix exactly as it was asked for -> what is under it.
        token: whatever else the driver needs to resume a watch (a cluster id); opaque to the core.
    """

    revision: int
    trees: Mapping[str, Tree]
    token: object = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed from the revision delivered before to `revision`: all of it, for every prefix, at once.

    Attributes:
        puts: prefix -> relative path -> the new entry.
        deletes: prefix -> relative paths that are gone.
    """

    revision: int
    puts: Mapping[str, Tree] = field(default_factory=dict)
    deletes: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Watch(ABC):
    """A stream of deltas that begins right after a `Reading`. Use it from one thread; close it from any."""

    @abstractmethod
    def __next__(self) -> Delta:
        """Block until something changed, then return all that did, up to one revision.

        MUST NOT miss a change made after the reading's revision, however early. MUST NOT make calls to the store
        while nothing changes, except a sign of life every few seconds where silence could mean death.

        Raises:
            StopIteration: `close` was called, also while blocked here.
            Gap: the place in the history is lost; the caller reads everything again.
            Unavailable, Denied, Invalid: the watch is dead; the caller backs off and opens another.
        """

    def __iter__(self) -> Iterator[Delta]:
        return self

    @abstractmethod
    def close(self) -> None:
        """End the watch and unblock `__next__` within a second. Idempotent, callable from any thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


class Backend(ABC):
    """One configured store. `read` may be called from several threads at once.

    Class attributes:
        Options: the `DriverOptions` subclass that validates what the user wrote.
        watches: whether `watch` works; if not, the core reads again at every interval.
        sensitive: whether its values are secrets unless the configuration says otherwise.
    """

    Options: ClassVar[type[DriverOptions]]
    watches: ClassVar[bool] = True
    sensitive: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def open(cls, options: Any, base: Path) -> Backend:
        """Make the backend from validated options. MUST NOT do I/O: a store that is down is found by `read`.

        Args:
            options: an instance of `cls.Options`.
            base: the configuration's directory; relative paths in the options are relative to it.
        """

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the store is, for messages: no credentials."""

    @abstractmethod
    def read(self, prefixes: Sequence[str]) -> Reading:
        """Read everything under each prefix, at one revision.

        A prefix is what the user wrote (`/prod/shop`); it ends at a path boundary (never matches `/prod/shopping`).
        An empty prefix is the store's root. A prefix without keys gives an empty tree, not an error.

        Raises:
            Unavailable, Denied, Invalid: MUST be one of these, with the library's error as its cause; a partial
                answer is Unavailable, never a smaller tree.
        """

    def watch(self, prefixes: Sequence[str], since: Reading) -> Watch:
        """Watch the same prefixes from right after `since`. May raise what `Watch.__next__` raises."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Release everything; open watches end. Idempotent."""
