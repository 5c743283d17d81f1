"""`confsync explain`: which value is live, where, and why."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from confsync.cli.options import given, global_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confsync.cli.session import Session
    from confsync.ledger.records import TargetRecord
    from confsync.reconcile.core import Core
    from confsync.source.documentation import Documentation


@click.command(short_help="Show where a target's content comes from, or where a key goes.")
@click.argument("what", metavar="TARGET|SYNC|[SOURCE:]KEY")
@global_options
@click.pass_context
def explain(context: click.Context, what: str) -> int:
    """Show where a target's content comes from, or where a key goes.

    For a target (its path) or a sync: each key it was made from, with source, revision, when that revision was first
    seen, and what the configuration says of it; when and why it was last written. For a key: what the configuration
    says of it, its revision, which prefix has it and which lose to it, every target it reaches, and the variable it
    becomes for `confsync env` and `exec`. Of what was never applied is told what the configuration says.

    Exit status: 0, 1 nothing is known of it, 3 the configuration is invalid.
    """
    from confsync.cli.explain_key import is_known, key_facts, print_key
    from confsync.cli.printing import print_json
    from confsync.cli.session import reading, setup_logs

    options = given(context)
    setup_logs(options)
    with reading(options) as session:
        targets = _targets(session, what)
        if targets:
            documented = _documentations(session, targets)
            facts = [
                _target_facts(session, target, documented.get(_environment_of(session, target)))
                for target in targets
            ]
            if options.as_json:
                print_json(facts)
            else:
                for fact in facts:
                    _print_target(fact)
            return 0
        with session.core() as core:
            wanted = _wanted(session, core, what)
            keys = []
            if not wanted:
                core.hub.refresh()
                keys = key_facts(session, core, what)
    if options.as_json:
        print_json(wanted or keys)
        return 0 if wanted or any(map(is_known, keys)) else 1
    for fact in wanted:
        _print_wanted(fact)
    for key in keys:
        print_key(key)
    return 0 if wanted or any(map(is_known, keys)) else 1


def _targets(session: Session, what: str) -> list[TargetRecord]:
    known = session.ledger.targets()
    if what in session.loaded.config.syncs:
        return [record for record in known.values() if record.sync == what]
    names = _names_of(what)
    return [record for target, record in known.items() if target in names]


def _names_of(what: str) -> list[str]:
    """What a target may be called that somebody means."""
    return [
        what,
        *(f"{kind}:{what}" for kind in ("kubernetes_secret", "kubernetes_config_map")),
        *(f"{kind}:{os.path.abspath(what)}" for kind in ("file", "directory")),
    ]


def _wanted(session: Session, core: Core, what: str) -> list[dict[str, Any]]:
    """What the configuration tells of a sync, or of a target, that was never applied."""
    if what in session.loaded.config.syncs:
        targets = [target for target, sync in core.static_targets.items() if sync == what]
        return [_wanted_facts(session, core, what, target) for target in targets or (None,)]
    return [
        _wanted_facts(session, core, core.static_targets[target], target)
        for target in _names_of(what)
        if target in core.static_targets
    ]


def _wanted_facts(session: Session, core: Core, sync: str, target: str | None) -> dict[str, Any]:
    """As `_target_facts`, as far as there are any; `target` is None where only a render tells which there are."""
    from confsync.config.references import parse_reference

    spec, record = session.loaded.config.syncs[sync], session.ledger.sync(sync)
    documentation = core.documentation(core.environment_of(spec))
    references = [parse_reference(value) for value in (spec.data or {}).values() if isinstance(value, str)]
    templates = [*filter(None, [spec.template]), *(spec.templates or {}).values()]
    return {
        "target": target,
        "sync": sync,
        "state": record.state.value if record else "pending",
        "detail": record.detail if record else "",
        "written": None,
        "keys": [
            {"source": one.source, "key": one.path, **_told_of(documentation, one.source, one.path)}
            for one in dict.fromkeys(references)
        ],
        "templates": [one if isinstance(one, str) else "inline" for one in templates],
    }


def _documentations(session: Session, targets: Iterable[TargetRecord]) -> Mapping[str | None, Documentation]:
    """What is said of keys, as it applies to the environment of each target."""
    from confsync.errors import ConfsyncError

    if not session.loaded.config.keys:
        return {}
    try:
        with session.core() as core:
            return {one: core.documentation(one) for one in {_environment_of(session, t) for t in targets}}
    except ConfsyncError:
        return {}  # of what was written is told also where the sources cannot be opened


def _environment_of(session: Session, target: TargetRecord) -> str | None:
    config = session.loaded.config
    sync = config.syncs.get(target.sync)
    return (sync.environment if sync else None) or session.options.environment or config.defaults.environment


def _target_facts(
    session: Session, target: TargetRecord, documentation: Documentation | None
) -> dict[str, Any]:
    from confsync.cli.printing import when
    from confsync.snapshot import full_key

    record = session.ledger.sync(target.sync)
    reads = record.reads if record else None
    return {
        "target": target.id,
        "sync": target.sync,
        "state": record.state.value if record else "pending",
        "detail": record.detail if record else "",
        "written": when(target.written_at),
        "created_by_confsync": target.created,
        "sensitive": target.sensitive,
        "attributes": dict(target.attributes),
        "keys": [
            {
                "source": path.source,
                "key": full_key(read.prefix, path.path),
                "revision": read.revision,
                "since": when(read.seen),
                **_told_of(documentation, path.source, path.path),
            }
            for path, read in (reads.keys.items() if reads else ())
        ],
        "missing": [f"{path.source}:{path.path}" for path in sorted(reads.missed)] if reads else [],
        "listed": [f"{path.source}:{path.path}" for path in sorted(reads.listed)] if reads else [],
        "templates": sorted(reads.templates) if reads else [],
        "history": [
            {"at": when(entry.at), "event": entry.event, "why": entry.detail}
            for entry in session.ledger.history(target.id, limit=5)
        ],
    }


def _told_of(documentation: Documentation | None, source: str, path: str) -> dict[str, Any]:
    """What is said of a key that a target is made from, and of the fields of a secret that was read as a whole."""
    key = documentation.of(source, path) if documentation else None
    fields = documentation.fields_of(source, path) if documentation else {}
    told: dict[str, Any] = {"about": key.about if key else None, "owner": key.owner if key else None}
    if fields:
        told["fields"] = {
            name: {"about": field.about, "owner": field.owner} for name, field in fields.items()
        }
    return told


def _print_target(facts: dict[str, Any]) -> None:
    from confsync.cli.printing import path_of
    from confsync.text import printable

    attributes = facts["attributes"]
    owner = ":".join(attributes[name] for name in ("owner", "group") if name in attributes)
    told = [f"{attributes.get('mode', attributes.get('type', ''))} {owner}".strip()]
    told += ["sensitive"] if facts["sensitive"] else []
    aside = f"  ({', '.join(filter(None, told))})" if any(told) else ""
    click.echo(click.style(path_of(facts["target"]), bold=True) + printable(aside))
    why = f": {facts['detail']}" if facts["detail"] else ""
    click.echo(f"  sync      {facts['sync']}: {printable(facts['state'] + why)}")
    click.echo(f"  written   {facts['written'] or 'never: it was right when confsync found it'}")
    click.echo(
        f"  owner     {'created by confsync' if facts['created_by_confsync'] else 'adopted: never deleted by confsync'}"
    )
    if facts["templates"]:
        click.echo(f"  made by   {printable(', '.join(facts['templates']))}")
    click.echo("  made from")
    _print_keys(facts["keys"])
    for name in facts["listed"]:
        click.echo(f"    everything below {printable(name)}")
    for name in facts["missing"]:
        click.echo(f"    {printable(name)} was looked for and does not exist")
    for entry in facts["history"]:
        click.echo(
            f"  {entry['at']}  {entry['event']}{': ' + printable(entry['why']) if entry['why'] else ''}"
        )


def _print_keys(keys: Iterable[dict[str, Any]]) -> None:
    """The keys a target is made from, with what is known of each."""
    from confsync.cli.documented import about_and_owner
    from confsync.cli.printing import table
    from confsync.text import printable, revision_text

    rows = []
    for key in keys:
        revision = f"revision {revision_text(key['revision'])}" if key.get("revision") else ""
        since = f"since {key['since']}" if "since" in key else ""
        name = printable(f"{key['source']}:{key['key']}")
        rows.append(("   ", name, revision, since, about_and_owner(key["about"], key["owner"])))
        rows += [
            ("   ", printable(f"  #{field}"), "", "", about_and_owner(told["about"], told["owner"]))
            for field, told in key.get("fields", {}).items()
        ]
    table(rows)


def _print_wanted(facts: dict[str, Any]) -> None:
    """What was never applied, for people."""
    from confsync.cli.printing import path_of
    from confsync.text import printable

    target = path_of(facts["target"]) if facts["target"] else "targets that only a render tells"
    click.echo(click.style(target, bold=True))
    why = f": {facts['detail']}" if facts["detail"] else ""
    click.echo(f"  sync      {facts['sync']}: {printable(facts['state'] + why)}")
    click.echo("  written   not applied yet: see what it would be with confsync plan")
    if facts["templates"]:
        click.echo(f"  made by   {printable(', '.join(facts['templates']))}")
    if facts["keys"]:
        click.echo("  made from")
        _print_keys(facts["keys"])
