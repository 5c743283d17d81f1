"""The suite every backend must pass. Inherit it, give it a harness, and pytest does the rest:

    class ShopHarness(Harness):
        def open(self): return ShopBackend.open(ShopOptions(address=...), Path("."))
        def put(self, key, value): ...
        def delete(self, key): ...

    class TestShop(BackendContract):
        @pytest.fixture
        def harness(self): return ShopHarness()

A driver whose `watches` is false, or whose store a test cannot change, writes `mutable = False` in its test
class; the tests of watches are then not even collected. What a driver does beyond the contract needs tests of
its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from confsync.driver import Backend, Reading
from confsync.errors import SourceError
from confsync.testing.contract_watch import WatchContract
from confsync.testing.harness import Follower, Harness, io_of_this_thread
from confsync.testing.waiting import eventually

__all__ = ["BackendContract", "Follower", "Harness"]


def values(reading: Reading, prefix: str) -> dict[str, bytes]:
    """Path -> value under one prefix of a reading."""
    return {path: entry.value for path, entry in reading.trees[prefix].items()}


class _ReadContract:
    """What every backend promises of `open`, `read` and `close`."""

    @pytest.fixture
    def backend(self, harness: Harness) -> Iterator[Backend]:
        """A backend of the harness's store, closed at the end."""
        backend = harness.open()
        yield backend
        backend.close()

    def test_an_empty_prefix_gives_an_empty_tree(self, harness: Harness, backend: Backend) -> None:
        harness.put(f"{harness.prefix}/a", b"1")

        assert backend.read([f"{harness.prefix}/nothing"]).trees == {f"{harness.prefix}/nothing": {}}

    def test_paths_are_relative_to_the_prefix_without_a_leading_slash(
        self, harness: Harness, backend: Backend
    ) -> None:
        harness.change({f"{harness.prefix}/a": b"1", f"{harness.prefix}/db/host": b"2"})

        assert values(backend.read([harness.prefix]), harness.prefix) == {"a": b"1", "db/host": b"2"}

    def test_a_prefix_may_end_in_a_slash(self, harness: Harness, backend: Backend) -> None:
        harness.put(f"{harness.prefix}/a", b"1")

        assert values(backend.read([f"{harness.prefix}/"]), f"{harness.prefix}/") == {"a": b"1"}

    def test_a_prefix_ends_at_a_path_boundary(self, harness: Harness, backend: Backend) -> None:
        harness.change(
            {f"{harness.prefix}/a": b"1", f"{harness.prefix}ping/b": b"2", f"{harness.prefix}0": b"3"}
        )

        assert values(backend.read([harness.prefix]), harness.prefix) == {"a": b"1"}

    def test_the_root_holds_every_key(self, harness: Harness, backend: Backend) -> None:
        harness.change({f"{harness.prefix}/a": b"1", f"{harness.other}/b": b"2"})

        root = values(backend.read([""]), "")
        assert (
            root.items()
            >= {f"{harness.prefix.strip('/')}/a": b"1", f"{harness.other.strip('/')}/b": b"2"}.items()
        )

    def test_several_prefixes_are_read_at_once_and_named_as_asked_for(
        self, harness: Harness, backend: Backend
    ) -> None:
        harness.change({f"{harness.prefix}/a": b"1", f"{harness.other}/a": b"2"})

        reading = backend.read([harness.prefix, harness.other])
        assert {prefix: values(reading, prefix) for prefix in reading.trees} == {
            harness.prefix: {"a": b"1"},
            harness.other: {"a": b"2"},
        }

    def test_prefixes_may_lie_within_each_other(self, harness: Harness, backend: Backend) -> None:
        inner = f"{harness.prefix}/db"
        harness.change({f"{harness.prefix}/a": b"1", f"{inner}/host": b"2"})

        reading = backend.read([inner, harness.prefix])
        assert values(reading, inner) == {"host": b"2"}
        assert values(reading, harness.prefix) == {"a": b"1", "db/host": b"2"}

    def test_odd_paths_are_only_text(self, harness: Harness, backend: Backend) -> None:
        expected = {path: str(number).encode() for number, path in enumerate(harness.odd_paths)}
        harness.change({f"{harness.prefix}/{path}": value for path, value in expected.items()})

        assert values(backend.read([harness.prefix]), harness.prefix) == expected

    def test_values_are_bytes_and_unchanged(self, harness: Harness, backend: Backend) -> None:
        expected = {f"v{number}": value for number, value in enumerate(harness.odd_values)}
        harness.change({f"{harness.prefix}/{path}": value for path, value in expected.items()})

        assert values(backend.read([harness.prefix]), harness.prefix) == expected

    def test_a_read_changes_nothing(self, harness: Harness, backend: Backend) -> None:
        harness.put(f"{harness.prefix}/a", b"1")

        assert backend.read([harness.prefix]) == backend.read([harness.prefix])

    def test_threads_may_read_at_once(self, harness: Harness, backend: Backend) -> None:
        harness.change({f"{harness.prefix}/k{number}": b"v" for number in range(20)})

        with ThreadPoolExecutor(4) as pool:
            readings = list(pool.map(lambda _: backend.read([harness.prefix]), range(12)))
        assert [values(reading, harness.prefix) for reading in readings] == [
            values(readings[0], harness.prefix)
        ] * 12
        assert len(readings[0].trees[harness.prefix]) == 20

    def test_open_does_no_io(self, harness: Harness) -> None:
        harness.open().close()  # whatever is imported late has been imported after this
        before = harness.calls()
        with io_of_this_thread() as seen:
            backend = harness.open()
        backend.close()

        assert seen == []
        assert harness.calls() == before

    def test_the_address_tells_where_but_no_credential(self, harness: Harness, backend: Backend) -> None:
        assert backend.address
        assert [secret for secret in harness.credentials() if secret in backend.address] == []

    def test_a_store_without_an_answer_is_a_source_error_with_its_cause(self, harness: Harness) -> None:
        backend = harness.open_broken()
        if backend is None:
            pytest.skip("this store always answers")
        try:
            with pytest.raises(SourceError) as caught:
                backend.read([harness.prefix])
        finally:
            backend.close()
        assert type(caught.value) is not SourceError, "say which kind: Unavailable, Denied or Invalid"
        assert caught.value.__cause__ is not None, "the library's error must be the cause"
        assert [secret for secret in harness.credentials() if secret in str(caught.value)] == []

    def test_close_is_idempotent(self, harness: Harness) -> None:
        backend = harness.open()
        backend.read([harness.prefix])
        backend.close()
        backend.close()

    def test_no_thread_is_left_after_close(self, harness: Harness) -> None:
        before = set(threading.enumerate())
        backend = harness.open()
        backend.read([harness.prefix])
        backend.close()

        eventually(lambda: not set(threading.enumerate()) - before)


class BackendContract(_ReadContract, WatchContract):
    """Inherit it in a class that pytest collects, with a fixture `harness` that gives a `Harness`.

    Class attributes:
        mutable: whether the store can be changed while it is watched; if not, no test of watches is
            collected.
    """

    mutable: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.mutable:
            return
        for name in vars(WatchContract):
            if name.startswith("test_"):
                setattr(cls, name, None)  # pytest collects only what can be called
