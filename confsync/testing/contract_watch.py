"""The part of the contract's suite that is about watches; inherit `confsync.testing.contract.BackendContract`."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from confsync.driver import Backend, Delta, Reading, Watch
from confsync.testing.harness import Follower, Harness
from confsync.testing.waiting import eventually

_IDLE = 0.5  # seconds to look on while nothing changes
_PAUSE = 0.01  # so many of them are a time in which this process ran: one in which it was stopped is one, too
_MOST = round(1.0 / _PAUSE)  # pauses until a watch that was closed has ended
_PATIENCE = 30.0  # seconds a watch that was closed has to end, and one that is open to tell of something
_IDLE_CPU = 0.1  # CPU seconds the whole process may take in that time; a busy loop takes 0.5


class WatchContract:
    """What a backend that watches promises besides."""

    @pytest.fixture
    def follow(self, harness: Harness, backend: Backend) -> Iterator[Any]:
        """A function that reads some prefixes and follows them from there."""
        followers: list[Follower] = []

        def start(*prefixes: str, since: Reading | None = None) -> Follower:
            asked = prefixes or (harness.prefix,)
            reading = since or backend.read(asked)
            followers.append(Follower(backend.watch(asked, reading), reading))
            return followers[-1]

        yield start
        for follower in followers:
            follower.watch.close()
            assert follower.ended()

    def test_a_watch_tells_of_a_new_key(self, harness: Harness, follow: Any) -> None:
        follower = follow()
        harness.put(f"{harness.prefix}/db/host", b"db1")

        follower.wait_for(harness.prefix, {"db/host": b"db1"})

    def test_a_watch_tells_of_a_new_value(self, harness: Harness, follow: Any) -> None:
        harness.change({f"{harness.prefix}/a": b"1", f"{harness.prefix}/b": b"1"})
        follower = follow()
        harness.put(f"{harness.prefix}/a", b"2")

        follower.wait_for(harness.prefix, {"a": b"2", "b": b"1"})
        assert "b" not in {path for delta in follower.deltas for path in delta.puts.get(harness.prefix, {})}

    def test_a_watch_tells_of_a_deleted_key(self, harness: Harness, follow: Any) -> None:
        harness.change({f"{harness.prefix}/a": b"1", f"{harness.prefix}/b": b"1"})
        follower = follow()
        harness.delete(f"{harness.prefix}/a")

        follower.wait_for(harness.prefix, {"b": b"1"})

    def test_a_watch_tells_of_odd_keys_and_values(self, harness: Harness, follow: Any) -> None:
        follower = follow()
        expected = dict(zip(harness.odd_paths, [*harness.odd_values] * 9, strict=False))
        harness.change({f"{harness.prefix}/{path}": value for path, value in expected.items()})

        follower.wait_for(harness.prefix, expected)

    def test_a_watch_speaks_of_its_prefixes_only(self, harness: Harness, follow: Any) -> None:
        follower = follow()
        harness.put(f"{harness.prefix}ping/b", b"2")
        harness.put(f"{harness.other}/b", b"2")
        harness.put(f"{harness.prefix}/a", b"1")

        follower.wait_for(harness.prefix, {"a": b"1"})
        assert {prefix for delta in follower.deltas for prefix in (*delta.puts, *delta.deletes)} == {
            harness.prefix
        }

    def test_prefixes_are_watched_as_they_were_asked_for(self, harness: Harness, follow: Any) -> None:
        inner = f"{harness.prefix}/db"
        follower = follow(harness.prefix, inner, harness.other)
        harness.change({f"{inner}/host": b"1", f"{harness.other}/x": b"2"})

        follower.wait_for(harness.prefix, {"db/host": b"1"})
        follower.wait_for(inner, {"host": b"1"})
        follower.wait_for(harness.other, {"x": b"2"})

    def test_what_changed_at_once_is_told_at_once(self, harness: Harness, follow: Any) -> None:
        if not harness.atomic:
            pytest.skip("this store changes one key at a time")
        harness.put(f"{harness.prefix}/old", b"0")
        follower = follow(harness.prefix, harness.other)
        harness.change({f"{harness.prefix}/a": b"1", f"{harness.other}/b": b"2"}, [f"{harness.prefix}/old"])

        follower.wait_for(harness.other, {"b": b"2"})
        follower.wait_for(harness.prefix, {"a": b"1"})
        assert len(follower.deltas) == 1

    def test_a_change_between_read_and_watch_is_not_missed(
        self, harness: Harness, backend: Backend, follow: Any
    ) -> None:
        harness.put(f"{harness.prefix}/gone", b"0")
        reading = backend.read([harness.prefix])
        harness.put(f"{harness.prefix}/a", b"1")
        harness.delete(f"{harness.prefix}/gone")

        follow(since=reading).wait_for(harness.prefix, {"a": b"1"})

    def test_a_change_between_watch_and_the_first_next_is_not_missed(
        self, harness: Harness, backend: Backend
    ) -> None:
        reading = backend.read([harness.prefix])
        with backend.watch([harness.prefix], reading) as watch:
            harness.put(f"{harness.prefix}/a", b"1")
            delta = _next(watch)

        assert delta.puts[harness.prefix]["a"].value == b"1"

    def test_changes_made_all_the_while_a_watch_is_opened_are_not_missed(
        self, harness: Harness, backend: Backend, follow: Any
    ) -> None:
        subscribed = threading.Event()
        written = 0

        def write() -> None:
            nonlocal written
            while written < 10 or (not subscribed.is_set() and written < 2000):
                harness.put(f"{harness.prefix}/n", str(written).encode())
                written += 1

        reading = backend.read([harness.prefix])
        writer = threading.Thread(target=write)
        writer.start()
        try:
            follower = follow(since=reading)
        finally:
            subscribed.set()
            writer.join()
        follower.wait_for(harness.prefix, {"n": str(written - 1).encode()})

    def test_a_watch_goes_on_where_another_ended(self, harness: Harness, follow: Any) -> None:
        first = follow()
        harness.put(f"{harness.prefix}/a", b"1")
        first.wait_for(harness.prefix, {"a": b"1"})
        first.watch.close()
        assert first.ended()
        harness.change({f"{harness.prefix}/b": b"2"}, [f"{harness.prefix}/a"])

        follow(since=first.reading()).wait_for(harness.prefix, {"b": b"2"})

    def test_revisions_grow(self, harness: Harness, backend: Backend, follow: Any) -> None:
        before = backend.read([harness.prefix])
        follower = follow(since=before)
        for number in range(3):
            value = str(number).encode()
            harness.put(f"{harness.prefix}/a", value)
            follower.wait_for(harness.prefix, {"a": value})

        revisions = [before.revision, *(delta.revision for delta in follower.deltas)]
        assert revisions == sorted(set(revisions))
        assert backend.read([harness.prefix]).revision >= revisions[-1]

    def test_two_watches_are_independent(self, harness: Harness, follow: Any) -> None:
        one, two = follow(), follow()
        harness.put(f"{harness.prefix}/a", b"1")
        one.wait_for(harness.prefix, {"a": b"1"})
        one.watch.close()
        assert one.ended()
        harness.put(f"{harness.prefix}/b", b"2")

        two.wait_for(harness.prefix, {"a": b"1", "b": b"2"})
        assert one.values(harness.prefix) == {"a": b"1"}

    def test_close_from_another_thread_ends_a_blocked_watch_within_a_second(self, follow: Any) -> None:
        def in_time() -> bool:
            follower = follow()
            threading.Event().wait(0.05)  # so that it blocks, most likely; the promise holds either way
            closing = threading.Thread(target=follower.watch.close, daemon=True)
            closing.start()

            def over(within: float) -> bool:
                closing.join(within)
                return not closing.is_alive() and follower.ended(within)

            pauses = next((pauses for pauses in range(_MOST) if over(_PAUSE)), _MOST)

            assert over(_PATIENCE)
            assert (follower.error, follower.deltas) == (None, [])
            return pauses < _MOST

        assert any(in_time() for _ in range(3)), "the machine may be slow, but not each time"

    def test_closing_a_watch_again_does_nothing(self, harness: Harness, backend: Backend) -> None:
        watch = backend.watch([harness.prefix], backend.read([harness.prefix]))
        watch.close()
        watch.close()
        with pytest.raises(StopIteration):
            next(watch)

    def test_a_closed_watch_tells_nothing(self, harness: Harness, backend: Backend) -> None:
        watch = backend.watch([harness.prefix], backend.read([harness.prefix]))
        watch.close()
        harness.put(f"{harness.prefix}/a", b"1")
        assert list(watch) == []

    def test_closing_the_backend_ends_its_watches(self, backend: Backend, follow: Any) -> None:
        followers = [follow(), follow()]
        backend.close()

        assert all(follower.ended(_PATIENCE) for follower in followers)
        assert [follower.error for follower in followers] == [None, None]

    def test_an_idle_watch_makes_no_calls_and_no_cpu(self, harness: Harness, follow: Any) -> None:
        harness.put(f"{harness.prefix}/a", b"1")
        follower = follow()
        harness.put(f"{harness.prefix}/a", b"2")
        follower.wait_for(harness.prefix, {"a": b"2"})

        def idles() -> bool:
            threading.Event().wait(0.1)  # what the change itself brought with it may end
            calls, cpu = harness.calls(), time.process_time()
            for _ in range(round(_IDLE / _PAUSE)):
                threading.Event().wait(_PAUSE)
            return time.process_time() - cpu < _IDLE_CPU and harness.calls() == calls

        assert any(idles() for _ in range(3)), "the machine may be slow to get there, but not each time"
        assert len(follower.deltas) == 1

    def test_no_thread_is_left_after_a_watch(self, harness: Harness) -> None:
        before = set(threading.enumerate())
        backend = harness.open()
        reading = backend.read([harness.prefix])
        follower = Follower(backend.watch([harness.prefix], reading), reading)
        harness.put(f"{harness.prefix}/a", b"1")
        follower.wait_for(harness.prefix, {"a": b"1"})
        follower.watch.close()
        backend.close()

        eventually(lambda: not set(threading.enumerate()) - before)


def _next(watch: Watch, within: float = _PATIENCE) -> Delta:
    """The watch's next delta; fails the test, instead of blocking it for ever, where there is none."""
    found: queue.SimpleQueue[Delta] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: found.put(next(watch)), daemon=True)
    thread.start()
    thread.join(within)
    assert not found.empty(), f"the watch told nothing within {within:g} s"
    return found.get()
