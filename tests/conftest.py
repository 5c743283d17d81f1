"""Shared by all tests: property tests that never flake on a slow machine and keep nothing on disk."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.database import InMemoryExampleDatabase

settings.register_profile(
    "confsync",
    deadline=None,  # a busy machine is not a bug; pytest-timeout ends what hangs
    database=InMemoryExampleDatabase(),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("confsync")
