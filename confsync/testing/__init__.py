"""What tests of confsync and of its drivers need, shipped so that third parties have it too.

contract.py   the suite every backend must pass      memory.py   a backend in memory, the example to copy
harness.py    what the suite asks of a store         etcd.py     a real etcd, started and stopped
waiting.py    waiting for a condition                ports.py    TCP ports that are free and stay so
prepared.py   commands begun without a start         daemon.py   a daemon and its workspace
leaks.py      finds secrets in what a run left
"""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):  # without pytest the memory backend is still of use
    import pytest

    # Must happen before the module is imported: its assertions then explain themselves, as in a test module.
    pytest.register_assert_rewrite(
        "confsync.testing.contract",
        "confsync.testing.contract_watch",
        "confsync.testing.contract_addressed",
        "confsync.testing.contract_logins",
    )
