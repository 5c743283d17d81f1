"""Addressed sources on stores in memory."""

from __future__ import annotations

import pytest
from source.addressed_rig import AddressedRig

from confsync.clock import SystemClock


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
def live(addressed):
    """A rig whose clock is the machine's, followed by threads."""
    rig = addressed(clock=SystemClock())
    rig.follow()
    return rig
