"""`confsync status`."""

from __future__ import annotations

import time

import click

from confsync.cli.options import given, global_options

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
    from confsync.cli.printing import complain, path_of, print_json, printable_lines
    from confsync.cli.session import reading, setup_logs
    from confsync.clock import SystemClock
    from confsync.ledger.state_dir import Lock
    from confsync.reconcile.status import describe, drifted, statuses
    from confsync.sinks import Sinks

    options = given(context)
    setup_logs(options)
    with reading(options) as session:
        found = statuses(session.ledger, list(session.loaded.config.syncs))
        sinks = Sinks(session.loaded, session.ledger.key, SystemClock())
        drift = drifted(session.ledger, sinks)
        sinks.close()
        invalid = session.ledger.flag("config-error")
        daemon = Lock(session.directory / "lock").daemon() if session.directory else None
        standing_by = daemon is not None and session.ledger.flag("standing-by") is not None
    agrees = all(one.agrees for one in found) and not drift and not invalid
    if options.as_json:
        print_json({
            "in_agreement": agrees, "daemon": daemon, "standing_by": standing_by,
            "drifted": [one.target for one in drift if one.problem is None],
            "unreadable": {one.target: one.problem for one in drift if one.problem is not None},
            "config_error": invalid,
            "syncs": [
                {"sync": s.record.name, "state": s.record.state.value, "since": s.record.since,
                 "detail": s.record.detail, "targets": s.targets, "reloads_owed": len(s.owed), "removed": s.removed}
                for s in found
            ],
        })  # fmt: skip
        return 0 if agrees else 2
    now = time.time()
    for one in found:
        name, _, rest = printable_lines(describe(one, now)).partition(" ")
        state, space, more = rest.partition(" ")
        click.echo(f"{name}  {click.style(state, fg=_COLOURS.get(one.record.state.value, ''))}{space}{more}")
    for one_drift in drift[:_MOST]:
        if one_drift.problem is None:
            told = f"{path_of(one_drift.target)} was changed by someone else"
            click.echo(f"{click.style('drift', fg='magenta')}  {told}")
        else:
            click.echo(f"{click.style('unknown', fg='yellow')}  {printable_lines(one_drift.problem)}")
    if len(drift) > _MOST:
        click.echo(f"       … and {len(drift) - _MOST} more; see them all with --output json")
    if invalid:
        complain(f"the daemon keeps its old configuration; the new one is invalid: {invalid}")
    click.echo(
        f"the daemon runs as process {daemon}"
        if daemon
        else "no daemon is running with this state directory",
        err=True,
    )
    if standing_by:
        click.echo("it stands by: another replica leads, and knows how things stand", err=True)
    return 0 if agrees else 2
