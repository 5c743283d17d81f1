"""What a core takes over from an earlier process, and what it leaves behind."""

from __future__ import annotations

from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.ledger.ledger import memory_ledger
from confsync.reconcile.core import Core


def test_kept_leases_of_sources_that_are_gone_or_keep_none_are_removed(tmp_path):
    config = tmp_path / "confsync.yaml"
    config.write_text(
        "sources:\n  keeps: {backend: vault, keep_leases: true}\n  kept: {backend: vault}\nsyncs: {}\n"
    )
    ledger = memory_ledger(SystemClock())
    for name in ("keeps", "kept", "gone"):
        ledger.put_flag(f"leases:{name}", "a secret")

    Core.open(load_config(config), ledger, looking=True).close()
    assert ledger.flags("leases:") == ["leases:gone", "leases:keeps", "leases:kept"]

    Core.open(load_config(config), ledger).close()
    assert ledger.flags("leases:") == ["leases:keeps"]
