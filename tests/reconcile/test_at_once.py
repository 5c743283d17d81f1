"""Several at once: in order, few at a time, and none begun after a failure."""

from __future__ import annotations

import threading

import pytest

from confsync.errors import ConfsyncError, SinkError
from confsync.reconcile.at_once import at_once


def test_what_each_gave_comes_in_order():
    assert at_once(lambda n: n * 2, range(50), 8) == ([n * 2 for n in range(50)], [])


def test_they_run_at_the_same_time():
    all_there = threading.Barrier(4, timeout=60)
    done, failures = at_once(lambda n: (all_there.wait(), n)[1], range(4), 4)
    assert (done, failures) == ([0, 1, 2, 3], [])


def test_after_a_failure_no_other_is_begun_and_those_done_are_told():
    begun = []

    def act(n: int) -> int:
        begun.append(n)
        if n == 1:
            raise SinkError("x", "refused")
        return n

    done, (failure,) = at_once(act, range(10), 1)
    assert begun == [0, 1]
    assert done == [0]
    assert isinstance(failure, ConfsyncError)
    assert "refused" in str(failure)


def test_one_alone_is_done_by_who_asks():
    asked_by = threading.get_ident()
    assert at_once(lambda _: threading.get_ident(), ["x"], 8) == ([asked_by], [])


def test_nothing_to_do_is_nothing():
    assert at_once(lambda n: n, [], 8) == ([], [])


def test_every_failure_of_those_under_way_is_told():
    all_there = threading.Barrier(3, timeout=60)

    def act(n: int) -> int:
        all_there.wait()
        raise SinkError(str(n), "refused")

    done, failures = at_once(act, range(3), 3)
    assert done == []
    assert sorted(str(failure) for failure in failures) == ["0: refused", "1: refused", "2: refused"]


def test_a_bug_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        at_once(lambda n: 1 // n, [0], 2)
