"""`confsync apply`."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from confsync.cli.options import Options, complete_syncs, given, global_options

if TYPE_CHECKING:
    from confsync.cli.session import Session
    from confsync.ledger.records import State
    from confsync.reconcile.apply import Outcome
    from confsync.reconcile.core import Core
    from confsync.reconcile.reconciler import Report


_FINISHING = b"confsync: finishing what is under way; once more ends it at once\n"


@click.command(short_help="Make every target agree with its source, once.")
@click.argument("syncs", nargs=-1, metavar="[SYNC]...", shell_complete=complete_syncs)
@click.option("--plan", "plan_file", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Apply exactly this saved plan, or refuse if the world has moved since.")  # fmt: skip
@click.option(
    "--allow-mass-delete", is_flag=True, help="Believe that many keys or targets are really to go, this once."
)
@click.option(
    "--no-reload", is_flag=True, help="Leave the reloads owed, to the daemon that starts afterwards."
)
@click.option(
    "--accept-stale",
    is_flag=True,
    help="Count as good what is stale: a source cannot be read, and its targets are the last known good ones.",
)
@global_options
@click.pass_context
def apply(
    context: click.Context,
    syncs: tuple[str, ...],
    plan_file: str | None,
    allow_mass_delete: bool,
    no_reload: bool,
    accept_stale: bool,
) -> int:
    """Make every target agree with its source, once.

    Without names every sync is reconciled, and what confsync created for syncs that are no longer configured is
    removed. Where something fails, its targets stay as they were and the others are done all the same.

    Before a program starts (an init container), --no-reload --accept-stale ends with 0 when its files are there.

    Exit status: 0 everything agrees, 1 something failed, 3 the configuration is invalid.
    """
    from confsync.cli.session import setup_logs, writing
    from confsync.errors import LedgerLocked

    # One pass makes little garbage and many objects that live to its end: looking through them again and again for
    # cycles took a fifth of the time of an apply with 5,000 syncs.
    gc.set_threshold(100_000, 50, 100)
    options = given(context)
    setup_logs(options)
    try:
        with writing(options, "apply") as session:
            wish = _Wish(allow_mass_delete, no_reload, accept_stale)
            return _apply(session, syncs, plan_file, wish)
    except LedgerLocked:
        if allow_mass_delete and _tell_daemon(options):
            return 0
        raise


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command was told besides what to apply."""

    allow_mass_delete: bool
    no_reload: bool
    accept_stale: bool

    def accepts(self, state: State) -> bool:
        """Whether a sync that stands so is good enough."""
        accepted = {"ok": True, "owed": self.no_reload, "stale": self.accept_stale}
        return accepted.get(state.value, False)


def _apply(session: Session, names: tuple[str, ...], plan_file: str | None, wish: _Wish) -> int:
    from confsync.cli.printing import progress
    from confsync.cli.session import known_syncs
    from confsync.reconcile.reconciler import Reconciler

    wanted = known_syncs(session.loaded, names)
    cancelled = threading.Event()
    _cancel_on_interrupt(cancelled)
    with session.core() as core:
        if wish.allow_mass_delete:
            core.hub.allow_mass_delete()
        core.hub.refresh()
        prune = None
        if plan_file is not None:
            wanted, prune = _planned(core, wanted, plan_file)
        reconciler = Reconciler(core, cancelled=cancelled)
        total = len(core.loaded.config.syncs if wanted is None else wanted)
        report = reconciler.run_once(
            wanted,
            prune=prune,
            allow_mass_delete=wish.allow_mass_delete,
            reload=not wish.no_reload,
            progress=progress(total),
        )
        return _show(session.options, report, wish, cancelled)


def _cancel_on_interrupt(cancelled: threading.Event) -> None:
    """The first Ctrl-C or SIGTERM lets what was begun end; the second ends at once, as it would without us."""

    def caught(number: int, _: FrameType | None) -> None:
        if cancelled.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        os.write(2, _FINISHING)  # not by a stream, whose lock whoever is interrupted may hold
        cancelled.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, caught)


def _planned(core: Core, wanted: list[str] | None, plan_file: str) -> tuple[list[str], bool]:
    """The syncs that a saved plan changes, and whether it removes what was made for others.

    No other sync is run: planning only looks, so that for one it found nothing to do for, a credential would be made
    now, and written.

    Raises:
        PlanRefused: the world has moved since it was saved.
    """
    from confsync.cli.plan import key_fingerprint, planned
    from confsync.plan import saved

    changes, _ = planned(core, wanted, with_diffs=False)
    saved.verify(Path(plan_file).read_bytes(), changes, key_fingerprint=key_fingerprint(core))
    changed = {change.sync for change in changes}
    configured = core.loaded.config.syncs
    return [name for name in configured if name in changed], not changed <= configured.keys()


def _show(options: Options, report: Report, wish: _Wish, cancelled: threading.Event) -> int:
    failed = {
        name: outcome for name, outcome in report.outcomes.items() if outcome.record.state.value != "ok"
    }
    good = report.is_good(wish.accepts) and not cancelled.is_set()
    if options.as_json:
        _print_json(report, failed, report.in_agreement and not cancelled.is_set())
        return 0 if good else 1
    _print(report, failed, interrupted=cancelled.is_set())
    return 130 if cancelled.is_set() else 0 if good else 1


def _print_json(report: Report, failed: dict[str, Outcome], good: bool) -> None:
    from confsync.cli.changes import as_json
    from confsync.cli.printing import print_json

    print_json({
        "in_agreement": good,
        "changes": [as_json(change) for change in report.changes],
        "failed": {
            name: {"state": outcome.record.state.value, "detail": outcome.record.detail}
            for name, outcome in failed.items()
        },
        "reloads": [
            {"reload": r.description, "syncs": r.syncs, "error": str(r.error) if r.error else None}
            for r in report.reloads
        ],
        "held": str(report.held) if report.held else None,
    })  # fmt: skip


def _print(report: Report, failed: dict[str, Outcome], *, interrupted: bool) -> None:
    from confsync.cli.printing import complain, path_of
    from confsync.reconcile.apply import event
    from confsync.text import printable

    for change in report.changes:
        why = f"  ({printable('; '.join(change.reasons[:3]))})" if change.reasons else ""
        click.echo(f"{click.style(event(change), fg='green')} {path_of(change.target)}  [{change.sync}]{why}")
    for result in report.reloads:
        if result.error is None:
            click.echo(
                f"{click.style('reloaded', fg='green')} {result.description}  [{', '.join(result.syncs)}]"
            )
    for name, outcome in failed.items():
        complain(f"sync {name!r} is {outcome.record.state.value}: {outcome.record.detail}")
    if report.held:
        complain(str(report.held))
    if interrupted:
        complain("interrupted; what was begun is whole, the rest is as it was")
    agreeing = len(report.outcomes) - len(failed)
    if not report.outcomes and not report.changes and report.held is None:
        click.echo("nothing to do")
        return
    from confsync.text import plural

    click.echo(
        f"{agreeing} of {len(report.outcomes)} syncs in agreement, {plural(len(report.changes), 'change')}"
    )


def _tell_daemon(options: Options) -> bool:
    """Leave the confirmation for the daemon that holds the state directory; whether there is one."""
    from confsync.cli.session import state_directory
    from confsync.config.loading import find_config, load_config
    from confsync.ledger.ledger import leave_flag
    from confsync.ledger.state_dir import Lock

    directory = state_directory(options, load_config(find_config(options.config)))
    daemon = Lock(directory / "lock").daemon() if directory else None
    if directory is None or daemon is None:
        return False
    leave_flag(directory, "allow-mass-delete", str(time.time()))
    os.kill(daemon, signal.SIGHUP)
    click.echo(f"the daemon (process {daemon}) was told to go ahead; see: confsync status")
    return True
