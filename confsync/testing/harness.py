"""The parts of the contract suite that a driver's own tests may use too."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from confsync.driver import Backend, Delta, Entry, Reading, Watch
from confsync.testing.waiting import eventually


class Harness(ABC):
    """What the suite needs to know of a store, and to do to it. Made anew, and empty, for each test.

    Class attributes:
        prefix: a prefix as a user writes it. A key is the prefix, a slash and the path.
        other: another, that has nothing in common with it.
        atomic: whether `change` is one change, that no reader may see the half of.
        odd_paths: paths that are unusual but possible in this store.
    """

    prefix: ClassVar[str] = "/prod/shop"
    other: ClassVar[str] = "/common"
    atomic: ClassVar[bool] = True
    odd_paths: ClassVar[Sequence[str]] = (
        "with space",
        "ünï/cödé ☃",
        "quotes'\"`",
        "a/../b",
        "per%20cent",
        "a.b-c_d:e@f#g?h",
        "$HOME",
        "back\\slash",
        "{{ braces }}",
        "UPPER/lower",
        "0",
    )
    odd_values: ClassVar[Sequence[bytes]] = (
        b"",
        b" ",
        b"two\nlines\n",
        "sn☃w".encode(),
        b"'\"\\$(x){{ y }}",
        b"null",
        b"1.10",
    )

    @abstractmethod
    def open(self) -> Backend:
        """A new backend of the store; the suite closes it."""

    @abstractmethod
    def put(self, key: str, value: bytes) -> None:
        """Write one key; when it returns, a read sees it."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove one key that is there."""

    def change(self, puts: Mapping[str, bytes], deletes: Sequence[str] = ()) -> None:
        """Write and remove several keys: at once where the store can (`atomic`)."""
        for key, value in puts.items():
            self.put(key, value)
        for key in deletes:
            self.delete(key)

    def calls(self) -> int | None:
        """How many calls the store has seen, or None where they cannot be counted."""
        return None

    def open_broken(self) -> Backend | None:
        """A backend whose store gives no answer, or None where that cannot be."""
        return None

    def credentials(self) -> Sequence[str]:
        """What `open` was configured with and `address` must not show."""
        return ()


class Follower:
    """Takes every delta of a watch in a thread of its own, and keeps the trees they make."""

    def __init__(self, watch: Watch, since: Reading) -> None:
        self.watch = watch
        self.deltas: list[Delta] = []
        self.error: BaseException | None = None
        self.trees: dict[str, dict[str, Entry]] = {prefix: dict(tree) for prefix, tree in since.trees.items()}
        self._since = since
        self.thread = threading.Thread(target=self._run, name="contract-follower", daemon=True)
        self.thread.start()

    def values(self, prefix: str) -> dict[str, bytes]:
        """Path -> value, as it is known now."""
        return {path: entry.value for path, entry in self.trees[prefix].copy().items()}

    def reading(self) -> Reading:
        """What a watch that goes on from here is opened with."""
        revision = self.deltas[-1].revision if self.deltas else self._since.revision
        return Reading(
            revision, {prefix: dict(tree) for prefix, tree in self.trees.items()}, self._since.token
        )

    def wait_for(self, prefix: str, expected: Mapping[str, bytes], within: float = 30.0) -> None:
        """Wait until the prefix holds exactly that."""

        def agrees() -> bool:
            if self.error is not None:
                raise self.error
            assert self.values(prefix) == dict(expected)
            return True

        eventually(agrees, within)

    def ended(self, within: float = 30.0) -> bool:
        """Whether the thread came out of the watch in time."""
        self.thread.join(within)
        return not self.thread.is_alive()

    def _run(self) -> None:
        try:
            for delta in self.watch:
                self._apply(delta)
        except BaseException as exc:  # noqa: BLE001 - the test's thread looks at it
            self.error = exc

    def _apply(self, delta: Delta) -> None:
        self.deltas.append(delta)  # first: who has waited for what it brings may look at it
        for prefix, gone in delta.deletes.items():
            for path in gone:
                self.trees[prefix].pop(path, None)
        for prefix, puts in delta.puts.items():
            self.trees[prefix].update(puts)


_audited: list[tuple[int, list[str]]] = []
_IO = frozenset(
    {"open", "os.listdir", "os.scandir", "socket.connect", "socket.getaddrinfo", "subprocess.Popen"}
)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _audited and event in _IO and threading.get_ident() == _audited[0][0]:
        _audited[0][1].append(f"{event} {args[0] if args else ''}")


@contextmanager
def io_of_this_thread() -> Iterator[list[str]]:
    """Collects the I/O that this thread does through Python."""
    if not getattr(sys, "_confsync_contract_audit", False):
        sys.addaudithook(_audit)  # it cannot be removed, so there is only one
        sys._confsync_contract_audit = True  # type: ignore[attr-defined]  # noqa: SLF001
    seen: list[str] = []
    _audited.append((threading.get_ident(), seen))
    try:
        yield seen
    finally:
        _audited.clear()
