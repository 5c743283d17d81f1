"""What `confsync explain` tells of a key: what it is said to be, what it is, and where it goes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from confsync.cli.documented import facts_of
from confsync.cli.printing import when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confsync.cli.session import Session
    from confsync.errors import SourceError
    from confsync.reconcile.core import Core
    from confsync.snapshot import Found, View


def key_facts(session: Session, core: Core, what: str) -> list[dict[str, Any]]:
    """What is known of `[SOURCE:]KEY` in each source that knows something.

    Raises:
        ConfsyncError: none does.
    """
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
        if found is None and not readers and not _is_written_out(core, environment, name, path):
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
            **_documented(core, environment, name, path, found),
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


def _is_written_out(core: Core, environment: str | None, source: str, path: str) -> bool:
    return any(path == one for one, _ in core.documentation(environment).written_out(source))


def _documented(
    core: Core, environment: str | None, source: str, path: str, found: Found | None
) -> dict[str, Any]:
    """What is said of a key, what is wrong with its value by that, and the variable it becomes."""
    from confsync.environments.naming import variable_name

    documentation = core.documentation(environment)
    key = documentation.of(source, path)
    variable = key.variable if key else None
    is_variable = "#" in path or not core.hub.view(source, environment, looking=True).by_request
    if variable is None and is_variable:
        with suppress(ValueError):  # a name that is none, of a key which `env` leaves out
            variable = variable_name(path)
    is_read = found is not None and found.fetched and is_variable
    problem = (
        documentation.problem(source, path, found.entry.value) if found is not None and is_read else None
    )
    return {**facts_of(key, environment), "variable": variable, "wrong": problem}


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
            "written": when(target.written_at),
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


def print_key(facts: dict[str, Any]) -> None:
    """What is known of a key, for people."""
    from confsync.cli.printing import path_of
    from confsync.text import printable, revision_text

    click.echo(click.style(printable(f"{facts['source']}:{facts['key']}"), bold=True))
    _print_documentation(facts)
    if facts["exists"]:
        revision = f"  (revision {revision_text(facts['revision'])})" if facts["revision"] else ""
        click.echo(f"  value     {facts['value']}{revision}")
    elif facts["problem"]:
        click.echo(f"  value     cannot be read: {printable(facts['problem'])}")
    else:
        click.echo(f"  value     it does not exist{', and is required' if facts['required'] else ''}")
    if facts["wrong"]:
        click.echo(f"  wrong     {facts['wrong']}")
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
    if facts["variable"]:
        click.echo(f"  variable  {facts['variable']}")


def _print_documentation(facts: dict[str, Any]) -> None:
    from confsync.text import printable

    one_of = f"one of {', '.join(facts['one_of'])}" if facts["one_of"] else ""
    required = "required" if facts["required"] else ""
    told = {
        "about": " ".join((facts["about"] or "").split()),
        "owner": facts["owner"],
        "type": ", ".join(filter(None, (facts["type"], one_of, required))),
    }
    for name, text in told.items():
        if text:
            click.echo(f"  {name:<8}  {printable(text)}")
