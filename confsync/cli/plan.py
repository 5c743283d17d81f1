"""`confsync plan`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from confsync.cli.options import complete_syncs, given, global_options

if TYPE_CHECKING:
    from confsync.plan.change import Change
    from confsync.reconcile.core import Core


@click.command(short_help="Show what apply would change, and why; change nothing.")
@click.argument("syncs", nargs=-1, metavar="[SYNC]...", shell_complete=complete_syncs)
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Save the plan, for: confsync apply --plan FILE.",
)
@global_options
@click.pass_context
def plan(context: click.Context, syncs: tuple[str, ...], out: str | None) -> int:
    """Show what apply would change, and why; change nothing.

    Each change is shown as a unified diff with the keys that caused it. Files that depend on a sensitive value are
    masked: only what the templates say themselves is shown.

    A saved plan holds no values but digests, made with a key from the state directory: --out makes that, and nothing
    else, where there is none yet.

    Exit status: 0 nothing to do, 1 something cannot be planned, 2 there are changes, 3 the configuration is invalid.
    """
    from confsync.cli.changes import as_json, print_change
    from confsync.cli.printing import complain, print_json
    from confsync.cli.session import begin_state, known_syncs, reading, setup_logs
    from confsync.plan import saved
    from confsync.text import plural

    options = given(context)
    setup_logs(options)
    if out is not None:
        begin_state(options)
    with reading(options) as session, session.core() as core:
        core.hub.refresh()
        notes: dict[str, str] = {}
        changes, problems = planned(core, known_syncs(session.loaded, syncs), with_diffs=True, notes=notes)
        if out is not None and not problems:
            _save(Path(out), saved.dump(changes, key_fingerprint=key_fingerprint(core)))
    if options.as_json:
        print_json({"changes": [as_json(change) for change in changes], "problems": problems, "notes": notes})
    else:
        for change in changes:
            print_change(change)
        for name, problem in problems.items():
            complain(f"sync {name!r}: {problem}" if name else problem)
        for name, note in notes.items():
            complain(f"sync {name!r}: {note}")
        click.echo(
            plural(len(changes), "change")
            if changes
            else "nothing to do"
            if not problems
            else "nothing else to do"
        )
    return 1 if problems else 2 if changes else 0


def planned(
    core: Core, names: list[str] | None, *, with_diffs: bool, notes: dict[str, str] | None = None
) -> tuple[list[Change], dict[str, str]]:
    """What apply would change now, and what it could not, by sync ("" for what concerns none).

    Args:
        notes: filled with what else is to be said of a sync.
    """
    from confsync.errors import ConfsyncError
    from confsync.ledger.records import State
    from confsync.reconcile.reconciler import Reconciler

    reconciler = Reconciler(core, with_diffs=with_diffs, looking=True, rehearsing=True)
    changes: list[Change] = []
    problems: dict[str, str] = {}
    for name in names if names is not None else core.loaded.config.syncs:
        assessment = reconciler.assess(name)
        changes += assessment.changes
        if assessment.notes and notes is not None:
            notes[name] = "; ".join(assessment.notes)
        if assessment.unfetched and notes is not None:
            notes[name] = (
                f"{', '.join(assessment.unfetched)} is taken to be as it was; an apply that does not hold its lease "
                "fetches another, and writes and reloads what is made of it"
            )
        if assessment.problems:
            problems[name] = "; ".join(assessment.problems)
        if assessment.state is not State.OK:
            problems[name] = assessment.detail
        elif assessment.detail and notes is not None:
            notes[name] = "; ".join(filter(None, (notes.get(name), assessment.detail)))
    if notes is not None:
        _note_debts(core, notes)
    if names is None:
        try:
            removals = reconciler.planned_removals()
            changes += [change for change in removals.changes if change.action.is_change]
            problems |= {name: str(error) for name, error in removals.failed.items()}
        except ConfsyncError as exc:
            problems[""] = str(exc)
    return changes, problems


def _note_debts(core: Core, notes: dict[str, str]) -> None:
    for debt in core.ledger.owed_reloads():
        told = (notes.get(debt.sync), "a reload is owed, and apply tries it")
        notes[debt.sync] = "; ".join(filter(None, told))


def key_fingerprint(core: Core) -> str:
    """Tells which ledger's key the digests were made with, without telling the key."""
    return hashlib.blake2b(core.ledger.key, digest_size=8, person=b"confsync-plan").hexdigest()


def _save(path: Path, text: str) -> None:
    from confsync.errors import ConfsyncError
    from confsync.plan import saved

    try:
        if path.is_file() and (there := path.read_bytes()) and not saved.is_plan(there):
            raise ConfsyncError(f"{path} is no saved plan, and stays as it is", hint="name another file")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise ConfsyncError(f"the plan cannot be saved as {path}: {exc.strerror}") from exc
