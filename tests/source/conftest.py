"""Addressed sources on stores in memory."""

from __future__ import annotations

import pytest
from source.addressed_rig import AddressedRig, PacedClock


@pytest.fixture
def addressed():
    """addressed(**options): a rig, closed at the end."""
    made = []

    def make(**options):
        made.append(AddressedRig(**options))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(addressed):
    return addressed()


@pytest.fixture
def running_clock():
    """A clock that runs."""
    clock = PacedClock()
    yield clock
    clock.close()


@pytest.fixture
def live(running_clock, addressed):
    """A rig whose clock runs, followed by threads."""
    rig = addressed(clock=running_clock)
    rig.follow()
    return rig
