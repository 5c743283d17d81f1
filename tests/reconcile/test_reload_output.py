"""What a failing reload prints is shown, without what it gives away."""

from __future__ import annotations

from pathlib import Path

from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.ledger.ledger import memory_ledger
from confsync.reconcile.core import Core
from confsync.reconcile.reconciler import Reconciler


def test_a_reload_that_prints_a_secret_taken_from_a_value_does_not_show_it(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text('cfg: \'{"password": "p@ss-w0rd!"}\'\n')
    (tmp_path / "confsync.yaml").write_text(
        "sources: {v: {backend: file, path: values.yaml, sensitive: true}}\n"
        "syncs:\n  s:\n    template: {inline: \"password={{ v.json('cfg').password }}\\nport=80\\n\"}\n"
        f"    to: out\n    reload: {{shell: 'cat {tmp_path}/out; cut -d= -f2 {tmp_path}/out; echo because; exit 1'}}\n"
    )
    core = Core.open(load_config(tmp_path / "confsync.yaml"), memory_ledger(SystemClock()))
    try:
        core.hub.refresh()
        report = Reconciler(core).run_once()
    finally:
        core.close()

    told = str(report.reloads[0].error)
    assert "p@ss-w0rd!" in (tmp_path / "out").read_text()
    assert "because" in told
    assert "p@ss-w0rd!" not in told
    assert "p@ss-w0rd!" not in report.outcomes["s"].record.detail
