"""`confsync explain`: which value is live, where, and why."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from confsync.cli.options import given, global_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confsync.cli.session import Session
    from confsync.errors import SourceError
    from confsync.ledger.records import TargetRecord
    from confsync.reconcile.core import Core
    from confsync.snapshot import Found, View


@click.command(short_help="Show where a target's content comes from, or where a key goes.")
@click.argument("what", metavar="TARGET|SYNC|[SOURCE:]KEY")
@global_options
@click.pass_context
def explain(context: click.Context, what: str) -> int:
    """Show where a target's content comes from, or where a key goes.

    For a target (its path) or a sync: each key it was made from, with source, revision and when that revision was first
    seen; when and why it was last written. For a key: its revision, which prefix has it and which lose to it, and
    every target it reaches.

    Exit status: 0, 1 nothing is known of it, 3 the configuration is invalid.
    """
    from confsync.cli.printing import print_json
    from confsync.cli.session import reading, setup_logs

    options = given(context)
    setup_logs(options)
    with reading(options) as session:
        targets = _targets(session, what)
        if targets:
            facts = [_target_facts(session, target) for target in targets]
            if options.as_json:
                print_json(facts)
            else:
                for fact in facts:
                    _print_target(fact)
            return 0
        with session.core() as core:
            core.hub.refresh()
            keys = _key_facts(session, core, what)
    if options.as_json:
        print_json(keys)
    else:
        for key in keys:
            _print_key(key)
    return 0


def _targets(session: Session, what: str) -> list[TargetRecord]:
    known = session.ledger.targets()
    if what in session.loaded.config.syncs:
        return [record for record in known.values() if record.sync == what]
    candidates = {
        what,
        *(f"{kind}:{what}" for kind in ("kubernetes_secret", "kubernetes_config_map")),
        *(f"{kind}:{os.path.abspath(what)}" for kind in ("file", "directory")),
    }
    return [record for target, record in known.items() if target in candidates]


def _when(at: float | None) -> str | None:
    return (
        datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None
    )


def _target_facts(session: Session, target: TargetRecord) -> dict[str, Any]:
    from confsync.snapshot import full_key

    record = session.ledger.sync(target.sync)
    reads = record.reads if record else None
    return {
        "target": target.id,
        "sync": target.sync,
        "state": record.state.value if record else "pending",
        "detail": record.detail if record else "",
        "written": _when(target.written_at),
        "created_by_confsync": target.created,
        "sensitive": target.sensitive,
        "attributes": dict(target.attributes),
        "keys": [
            {
                "source": path.source,
                "key": full_key(read.prefix, path.path),
                "revision": read.revision,
                "since": _when(read.seen),
            }
            for path, read in (reads.keys.items() if reads else ())
        ],
        "missing": [f"{path.source}:{path.path}" for path in sorted(reads.missed)] if reads else [],
        "listed": [f"{path.source}:{path.path}" for path in sorted(reads.listed)] if reads else [],
        "templates": sorted(reads.templates) if reads else [],
        "history": [
            {"at": _when(entry.at), "event": entry.event, "why": entry.detail}
            for entry in session.ledger.history(target.id, limit=5)
        ],
    }


def _print_target(facts: dict[str, Any]) -> None:
    from confsync.cli.printing import path_of, table
    from confsync.text import printable, revision_text

    attributes = facts["attributes"]
    owner = ":".join(attributes[name] for name in ("owner", "group") if name in attributes)
    told = [f"{attributes.get('mode', attributes.get('type', ''))} {owner}".strip()]
    told += ["sensitive"] if facts["sensitive"] else []
    aside = f"  ({', '.join(filter(None, told))})" if any(told) else ""
    click.echo(click.style(path_of(facts["target"]), bold=True) + printable(aside))
    click.echo(
        f"  sync      {facts['sync']}: {facts['state']}{': ' + facts['detail'] if facts['detail'] else ''}"
    )
    click.echo(f"  written   {facts['written'] or 'never: it was right when confsync found it'}")
    click.echo(
        f"  owner     {'created by confsync' if facts['created_by_confsync'] else 'adopted: never deleted by confsync'}"
    )
    if facts["templates"]:
        click.echo(f"  made by   {', '.join(facts['templates'])}")
    click.echo("  made from")
    table(
        [
            (
                "   ",
                printable(f"{key['source']}:{key['key']}"),
                f"revision {revision_text(key['revision'])}" if key["revision"] else "",
                f"since {key['since']}",
            )
            for key in facts["keys"]
        ]
    )
    for name in facts["listed"]:
        click.echo(f"    everything below {printable(name)}")
    for name in facts["missing"]:
        click.echo(f"    {printable(name)} was looked for and does not exist")
    for entry in facts["history"]:
        click.echo(
            f"  {entry['at']}  {entry['event']}{': ' + printable(entry['why']) if entry['why'] else ''}"
        )


def _key_facts(session: Session, core: Core, what: str) -> list[dict[str, Any]]:
    from confsync.cli.session import split_key
    from confsync.errors import ConfsyncError, Invalid
    from confsync.snapshot import full_key

    source, typed = split_key(session.loaded, what)
    environment = core.environment or session.loaded.config.defaults.environment
    facts: list[dict[str, Any]] = []
    known: list[str] = []
    unreadable: list[str] = []
    for name in [source] if source else core.hub.sources:
        view = core.hub.view(name, environment, looking=True)
        path = _spelled_quietly(view, typed)
        readers = _readers(session, view, name, path)
        found, problem = _find(view, path)
        if problem is not None and not readers:
            if source or not isinstance(
                problem, Invalid
            ):  # what is no path there was meant for another source
                unreadable.append(f"{name}:{path} cannot be read: {problem}")
            continue
        if found is None and not readers:
            near = _nearest_quietly(view, path)
            known += [near] if near else []
            continue
        facts.append({
            "source": name,
            "key": full_key(found.prefix, path) if found else path,
            "environment": environment,
            "exists": found is not None if problem is None else None,
            "problem": None if problem is None else str(problem),
            "revision": found.entry.revision if found else None,
            "value": _value_shown(core, name, path, found) if found else None,
            "shadows": _shadows_quietly(view, path) if found else [],
            "goes_to": readers,
        })  # fmt: skip
    if not facts:
        if unreadable and not known:
            raise ConfsyncError("; ".join(unreadable))
        hint = (
            f"did you mean {known[0]!r}?"
            if known
            else "list keys with: confsync ls; targets with: confsync status"
        )
        raise ConfsyncError(f"{what!r} is no target, sync or key that confsync knows", hint=hint)
    return facts


def _value_shown(core: Core, source: str, path: str, found: Found) -> str:
    from confsync.cli.look import shown_value

    return shown_value(core, source, path, found.entry) if found.fetched else "made when apply fetches it"


def _find(view: View, path: str) -> tuple[Found | None, SourceError | None]:
    """What is there, or why nobody can tell."""
    from confsync.errors import SourceError

    try:
        return view.find(path), None
    except SourceError as exc:
        return None, exc


def _shadows_quietly(view: View, path: str) -> list[str]:
    from confsync.errors import SourceError
    from confsync.snapshot import full_key

    try:
        return [full_key(prefix, path) for prefix in view.shadowed(path)]
    except SourceError:
        return []


def _nearest_quietly(view: View, path: str) -> str | None:
    from confsync.errors import SourceError

    try:
        return view.absent(path).nearest
    except SourceError:
        return None


def _spelled_quietly(view: View, typed: str) -> str:
    from confsync.errors import SourceError

    try:
        return view.spell(typed)
    except SourceError:
        return typed.strip("/")


def _readers(session: Session, view: View, source: str, path: str) -> list[dict[str, Any]]:
    """The targets made with this key, by the ledger."""
    reads_it = _reads_by_address(view, path) if view.by_request else lambda other, _: other == path
    readers = {}
    for name, record in session.ledger.syncs().items():
        found = [
            read
            for one, read in record.reads.keys.items()
            if one.source == source and reads_it(one.path, (read.prefix,))
        ]
        missed = any(
            one.source == source and reads_it(one.path, view.prefixes) for one in record.reads.missed
        )
        if found or missed:
            readers[name] = found[0] if found else None
    return [
        {
            "target": target.id,
            "sync": target.sync,
            "revision": read.revision if (read := readers[target.sync]) else None,
            "written": _when(target.written_at),
        }
        for target in session.ledger.targets().values()
        if target.sync in readers
    ]


def _reads_by_address(view: View, path: str) -> Callable[[str, Iterable[str]], bool]:
    """Tells whether what was read at a path, below one of some prefixes, shows the secret or field at `path`.

    It may be spelled from the root and read below a prefix, or the other way round. Who reads a secret as a whole
    reads each of its fields.
    """
    from confsync.address import parse

    try:
        wanted = parse(path)
    except ValueError:
        return lambda _, __: False
    addresses = {wanted.under(prefix) for prefix in view.prefixes}

    def reads_it(other: str, prefixes: Iterable[str]) -> bool:
        read = parse(other)
        if wanted.field is not None and read.field not in (None, wanted.field):
            return False
        same_path = read._replace(field=None) == wanted._replace(field=None)  # also in another environment
        return same_path or any(read.under(prefix) in addresses for prefix in prefixes)

    return reads_it


def _print_key(facts: dict[str, Any]) -> None:
    from confsync.cli.printing import path_of
    from confsync.text import printable, revision_text

    click.echo(click.style(printable(f"{facts['source']}:{facts['key']}"), bold=True))
    if facts["exists"]:
        revision = f"  (revision {revision_text(facts['revision'])})" if facts["revision"] else ""
        click.echo(f"  value     {facts['value']}{revision}")
    elif facts["problem"]:
        click.echo(f"  value     cannot be read: {printable(facts['problem'])}")
    else:
        click.echo("  value     it does not exist")
    if facts["environment"]:
        click.echo(f"  seen in   environment {facts['environment']}")
    for shadow in facts["shadows"]:
        click.echo(f"  hides     {printable(shadow)}")
    for reader in facts["goes_to"]:
        revision = f"with revision {revision_text(reader['revision'])}, " if reader["revision"] else ""
        written = f"{revision}written {reader['written'] or 'never'}"
        click.echo(f"  goes to   {path_of(reader['target'])}  [{reader['sync']}]  {written}")
    if not facts["goes_to"]:
        click.echo("  goes to   no target")
