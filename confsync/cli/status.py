"""`confsync status`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from confsync.cli.options import given, global_options

if TYPE_CHECKING:
    from confsync.cli.session import Session
    from confsync.reconcile.status import Drift, SyncStatus

_MOST = 20  # targets that are named one by one

_COLOURS = {
    "ok": "green",
    "stale": "yellow",
    "held": "magenta",
    "owed": "yellow",
    "failed": "red",
    "pending": "cyan",
}


@click.command(short_help="Show how every sync stands.")
@global_options
@click.pass_context
def status(context: click.Context) -> int:
    """Show how every sync stands, as the last reconcile left it, and whether its targets are still so.

    \b
    ok       its targets agree with its sources
    stale    its targets are the last known good ones; a source cannot be read
    held     so much would vanish at once that confsync waits for --allow-mass-delete
    owed     everything is written; a reload has not succeeded yet
    failed   something must be mended; what it could not do is as it was
    pending  it was never reconciled

    Exit status: 0 everything agrees, 2 something does not, 1 the ledger cannot be read, 3 the configuration is invalid.
    """
    from confsync.cli.printing import print_json
    from confsync.cli.session import reading, setup_logs

    options = given(context)
    setup_logs(options)
    with reading(options) as session:
        standing = _looked_at(session)
    if options.as_json:
        print_json(_as_json(standing))
    else:
        _print(standing)
    return 0 if standing.agrees else 2


@dataclass(frozen=True, slots=True)
class _Standing:
    """How everything stands.

    Attributes:
        invalid: why the daemon keeps an old configuration, or None.
        daemon: its process id, or None.
        standing_by: whether another replica leads.
    """

    syncs: list[SyncStatus]
    drift: list[Drift]
    invalid: str | None
    daemon: int | None
    standing_by: bool

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to mend."""
        return all(one.agrees for one in self.syncs) and not self.drift and not self.invalid


def _looked_at(session: Session) -> _Standing:
    from confsync.clock import SystemClock
    from confsync.ledger.state_dir import Lock
    from confsync.reconcile.status import drifted, statuses
    from confsync.sinks import Sinks

    ledger = session.ledger
    sinks = Sinks(session.loaded, ledger.key, SystemClock())
    daemon = Lock(session.directory / "lock").daemon() if session.directory else None
    try:
        return _Standing(
            statuses(ledger, list(session.loaded.config.syncs)),
            drifted(ledger, sinks),
            ledger.flag("config-error"),
            daemon,
            daemon is not None and ledger.flag("standing-by") is not None,
        )
    finally:
        sinks.close()


def _as_json(standing: _Standing) -> dict[str, Any]:
    return {
        "in_agreement": standing.agrees, "daemon": standing.daemon, "standing_by": standing.standing_by,
        "drifted": [one.target for one in standing.drift if one.problem is None],
        "unreadable": {one.target: one.problem for one in standing.drift if one.problem is not None},
        "config_error": standing.invalid,
        "syncs": [
            {"sync": s.record.name, "state": s.record.state.value, "since": s.record.since,
             "detail": s.record.detail, "targets": s.targets, "reloads_owed": len(s.owed), "removed": s.removed}
            for s in standing.syncs
        ],
    }  # fmt: skip


def _print(standing: _Standing) -> None:
    from confsync.cli.printing import complain, printable_lines
    from confsync.reconcile.status import describe

    now = time.time()
    for one in standing.syncs:
        name, _, rest = printable_lines(describe(one, now)).partition(" ")
        state, space, more = rest.partition(" ")
        click.echo(f"{name}  {click.style(state, fg=_COLOURS.get(one.record.state.value, ''))}{space}{more}")
    _print_drift(standing.drift)
    if standing.invalid:
        complain(f"the daemon keeps its old configuration; the new one is invalid: {standing.invalid}")
    runs = f"the daemon runs as process {standing.daemon}"
    click.echo(runs if standing.daemon else "no daemon is running with this state directory", err=True)
    if standing.standing_by:
        click.echo("it stands by: another replica leads, and knows how things stand", err=True)


def _print_drift(drift: list[Drift]) -> None:
    from confsync.cli.printing import path_of, printable_lines

    for one in drift[:_MOST]:
        if one.problem is None:
            told = f"{path_of(one.target)} was changed by someone else"
            click.echo(f"{click.style('drift', fg='magenta')}  {told}")
        else:
            click.echo(f"{click.style('unknown', fg='yellow')}  {printable_lines(one.problem)}")
    if len(drift) > _MOST:
        click.echo(f"       … and {len(drift) - _MOST} more; see them all with --output json")
