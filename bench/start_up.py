"""Start-up: what a command costs before it does anything. Baseline: `python -c pass`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import confsync, measured, median, row

RUNS = 15


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory)
        measured([sys.executable, "-m", "confsync", "init", str(project)])
        bare, asked, checked = [], [], []
        for _ in range(RUNS):
            bare.append(measured([sys.executable, "-c", "pass"]).wall * 1000)
            asked.append(measured([sys.executable, "-m", "confsync", "--help"]).wall * 1000)
            checked.append(measured(confsync(project, "apply")).wall * 1000)
    base = median(bare)
    row(
        "confsync --help",
        f"{median(asked):.0f} ms",
        "≤ 10 × bare",
        f"{median(asked) / base:.1f} × bare ({base:.0f} ms)",
    )
    row(
        "apply, one sync, file source",
        f"{median(checked):.0f} ms",
        "",
        f"{median(checked) / base:.1f} × bare ({base:.0f} ms)",
    )


if __name__ == "__main__":
    main()
