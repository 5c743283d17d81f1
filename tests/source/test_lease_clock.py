"""When a lease is renewed, replaced and dead, for any lease there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.driver import Lease
from confsync.source.lease_clock import LeaseClock

durations = st.floats(0.5, 1e7)
moments = st.floats(0, 1e7)
shares = st.floats(0.01, 3)


@given(durations, st.booleans(), moments)
def test_a_lease_is_due_between_six_tenths_and_two_thirds_of_its_time(duration, renewable, asked):
    clock = LeaseClock.of(Lease("x", duration, renewable), asked)

    assert asked + 0.6 * duration * 0.999 <= clock.due <= asked + duration * 2 / 3 * 1.001
    assert clock.ends == asked + duration
    assert clock.replace is not renewable


@given(durations, shares, st.booleans(), moments)
def test_a_renewal_that_gives_less_is_due_at_once_to_be_replaced(granted, share, renewable, asked):
    clock = LeaseClock.of(Lease("x", granted, renewable=True), asked)
    now = clock.due
    renewed = clock.renewed(Lease("x", granted * share, renewable), now)

    assert renewed.granted == granted
    assert renewed.ends == now + granted * share
    if share < 0.89:
        assert (renewed.due, renewed.replace) == (now, True)
    if share > 0.91:
        assert now < renewed.due < renewed.ends
        assert renewed.replace is not renewable


@given(st.floats(0.9, 1, exclude_min=True, exclude_max=True))
def test_renewals_that_each_give_a_little_less_come_to_an_end(share):
    clock = LeaseClock.of(Lease("x", 100, renewable=True), 0)
    for _ in range(200):
        clock = clock.renewed(Lease("x", clock.lease.duration * share, renewable=True), clock.due)
    # It is less than at first that counts, not less than the last time.
    assert clock.replace is (100 * share**200 < 90)


@given(durations, st.booleans(), moments, st.floats(0.01, 5))
def test_a_restored_lease_ends_no_later_than_it_was_granted_for(granted, renewable, now, share):
    clock = LeaseClock.restored(Lease("x", granted, renewable), granted, now, granted * share)

    assert now < clock.ends <= now + granted
    if renewable:
        assert clock.due == now
    else:
        assert now <= clock.due <= max(now, clock.ends - granted / 3 * 0.999)


@pytest.mark.parametrize("lease", [None, Lease("x", 0.0), Lease("x", -1.0, renewable=True)])
def test_what_has_no_time_has_no_clock(lease):
    assert LeaseClock.of(lease, 0.0) is None


@given(st.floats(1e-9, 0.1))
def test_a_lease_shorter_than_any_sense_is_not_due_all_the_time(duration):
    assert LeaseClock.of(Lease("x", duration), 5.0).due >= 5.1


def test_what_is_to_be_replaced_keeps_its_end():
    clock = LeaseClock.of(Lease("x", 60, renewable=True), 0).to_be_replaced(10)

    assert (clock.due, clock.ends, clock.replace) == (10, 60, True)
