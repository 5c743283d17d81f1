"""What `confsync explain` tells of a key: what it is said to be, what it is, and where it goes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from confsync.cli.documented import facts_of
from confsync.cli.printing import when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confsync.cli.session import Session
    from confsync.config.models import Sync
    from confsync.errors import ConfsyncError, SourceError
    from confsync.reads import KeyRead, Reads
    from confsync.reconcile.core import Core
    from confsync.snapshot import Found, View

_NOT_APPLIED = "not applied yet"


@dataclass(frozen=True, slots=True)
class _Look:
    """What one source tells of a key, and where the key goes from there.

    Attributes:
        problem: why nobody can tell what is there, or None.
        readers: the targets made with it, and those a data map will make with it.
    """

    source: str
    path: str
    view: View
    found: Found | None
    problem: SourceError | None
    readers: list[dict[str, Any]]


def key_facts(session: Session, core: Core, what: str) -> list[dict[str, Any]]:
    """What is known of `[SOURCE:]KEY` in each source that knows something, or may and cannot be read.

    Raises:
        ConfsyncError: none does.
    """
    from confsync.cli.session import split_key

    source, typed = split_key(session.loaded, what)
    environment = core.environment or session.loaded.config.defaults.environment
    looks = [
        _look(session, core, environment, name, typed) for name in ([source] if source else core.hub.sources)
    ]
    telling = [look for look in looks if _tells(core, environment, look, looks)]
    if not telling:
        raise _unknown(what, looks, one_source=source is not None)
    return [_facts(session, core, environment, look) for look in telling]


def is_known(facts: dict[str, Any]) -> bool:
    """Whether more is known of a key than what the configuration says, and that its source cannot be read."""
    return facts["problem"] is None or any(target["applied"] for target in facts["goes_to"])


def _look(session: Session, core: Core, environment: str | None, source: str, typed: str) -> _Look:
    view = core.hub.view(source, environment, looking=True)
    path = _spelled_quietly(view, typed)
    found, problem = _find(view, path)
    readers = [
        *_readers(session, core, view, source, path, found),
        *_configured(session, core, view, source, path),
    ]
    return _Look(source, path, view, found, problem, readers)


def _tells(core: Core, environment: str | None, look: _Look, looks: Iterable[_Look]) -> bool:
    """Whether there is something to say of a key in one source.

    What `keys` says of a key leaves open which source has it: where one does, or may, it is not missing in the others.
    """
    if look.found is not None or look.readers:
        return True
    if not _is_written_out(core, environment, look.source, look.path):
        return False
    if look.problem is not None:
        return True
    rules = core.documentation(environment).rules(look.source)
    if rules is None or not rules.may_be_elsewhere(look.path):
        return True
    return all(other.found is None and other.problem is None for other in looks)


def _unknown(what: str, looks: Iterable[_Look], *, one_source: bool) -> ConfsyncError:
    """That nothing is known of it, with what is most like it; or why that cannot be told."""
    from confsync.errors import ConfsyncError, Invalid

    near = next(filter(None, (_nearest_quietly(look.view, look.path) for look in looks)), None)
    unreadable = [
        f"{look.source}:{look.path} cannot be read: {look.problem}"
        for look in looks
        # What is no path in one source was meant for another.
        if look.problem is not None and (one_source or not isinstance(look.problem, Invalid))
    ]
    if unreadable and near is None:
        return ConfsyncError("; ".join(unreadable))
    hint = f"did you mean {near!r}?" if near else "list keys with: confsync ls; targets with: confsync status"
    return ConfsyncError(f"{what!r} is no target, sync or key that confsync knows", hint=hint)


def _facts(session: Session, core: Core, environment: str | None, look: _Look) -> dict[str, Any]:
    from confsync.cli.look import value_facts
    from confsync.snapshot import full_key

    source, path, found, problem = look.source, look.path, look.found, look.problem
    return {
        "source": source,
        "key": full_key(found.prefix, path) if found else path,
        "environment": environment,
        "exists": found is not None if problem is None else None,
        "problem": None if problem is None else str(problem),
        "revision": found.entry.revision if found else None,
        **value_facts(
            found.entry.value if found and found.fetched else None,
            sensitive=core.hub.is_sensitive(source)(path),
        ),
        "fetched": found.fetched if found else None,
        **_documented(core, environment, source, path, found),
        "shadows": _shadows_quietly(look.view, path) if found else [],
        "goes_to": look.readers,
        "not_applied": _not_told(session, core, look),
    }


def _is_written_out(core: Core, environment: str | None, source: str, path: str) -> bool:
    return any(path == one for one, _ in core.documentation(environment).written_out(source))


def _documented(
    core: Core, environment: str | None, source: str, path: str, found: Found | None
) -> dict[str, Any]:
    """What is said of a key, what is wrong with its value by that, and the variable it becomes."""
    from confsync.environments.variables.naming import variable_name

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


def _readers(
    session: Session, core: Core, view: View, source: str, path: str, found: Found | None
) -> list[dict[str, Any]]:
    """The targets made with this key, by the ledger: those of this environment, or of the same stored key."""
    readers = {}
    for name, record in session.ledger.syncs().items():
        reads = _Reads(core, name, record.reads, source, view)
        read = reads.of(path, found)
        if read is not None or reads.missed(path):
            readers[name] = read
    return [
        {
            "target": target.id,
            "sync": target.sync,
            "revision": read.revision if (read := readers[target.sync]) else None,
            "written": when(target.written_at),
            "applied": True,
        }
        for target in session.ledger.targets().values()
        if target.sync in readers
    ]


@dataclass(frozen=True, slots=True)
class _Reads:
    """What one sync read of one source, looked at through `view`."""

    core: Core
    sync: str
    reads: Reads
    source: str
    view: View

    def of(self, path: str, found: Found | None) -> KeyRead | None:
        """How it read a key: as this environment shows it, or as another does that shows the same stored key."""
        for one, read in self.reads.keys.items():
            if one.source == self.source and self._is_it(one.path, read.prefix, path, found):
                return read
        return None

    def _is_it(self, read: str, prefix: str, path: str, found: Found | None) -> bool:
        from confsync.snapshot import full_key

        if self.view.by_request:
            return _reads_by_address(self.view, path)(read, (prefix,))
        if found is not None and full_key(prefix, read) == full_key(found.prefix, path):
            return True
        return read == path and self._are_of_this_environment()

    def missed(self, path: str) -> bool:
        """Whether it looked for a key in vain, or could not ask for it."""
        paths = [one.path for one in self.reads.missed if one.source == self.source]
        if self.view.by_request:
            reads_it = _reads_by_address(self.view, path)
            return any(reads_it(one, _prefixes_of(self.core, self.sync, self.source)) for one in paths)
        return path in paths and self._are_of_this_environment()

    def _are_of_this_environment(self) -> bool:
        """Which one it was is not kept, but below which prefixes keys were found; else the configuration tells."""
        spec = self.core.loaded.config.syncs.get(self.sync)
        used = {read.prefix for one, read in self.reads.keys.items() if one.source == self.source}
        if used and (spec is None or spec.environment is None):
            return used <= set(self.view.prefixes)
        return _prefixes_of(self.core, self.sync, self.source) == self.view.prefixes


def _prefixes_of(core: Core, sync: str, source: str) -> tuple[str, ...]:
    """Where a sync reads a source, by the configuration; as whoever asks, where the configuration has it no more."""
    spec = core.loaded.config.syncs.get(sync)
    return core.hub.prefixes(source, core.environment_of(spec) if spec else core.environment)


def _configured(session: Session, core: Core, view: View, source: str, path: str) -> list[dict[str, Any]]:
    """The targets that data maps will make with this key, of syncs that were never applied."""
    syncs = {
        name for name in unapplied(session, core, source, view) if _names(core, name, view, source, path)
    }
    return [
        {"target": target, "sync": sync, "revision": None, "written": None, "applied": False}
        for target, sync in core.static_targets.items()
        if sync in syncs
    ]


def _names(core: Core, sync: str, view: View, source: str, path: str) -> bool:
    """Whether an entry of a sync's data map is for this key."""
    from confsync.config.references import parse_reference

    values = (core.loaded.config.syncs[sync].data or {}).values()
    references = [parse_reference(value) for value in values if isinstance(value, str)]
    named = [one.path for one in references if one.source == source]
    if not view.by_request:
        return path in map(view.spell, named)
    reads_it = _reads_by_address(view, path)
    return any(reads_it(one, view.prefixes) for one in named)


def unapplied(session: Session, core: Core, source: str, view: View) -> list[str]:
    """The syncs that have made no target yet, and read `source` as `view` shows it if they read it at all."""
    applied = {target.sync for target in session.ledger.targets().values()}
    return [
        name
        for name in core.loaded.config.syncs
        if name not in applied and _prefixes_of(core, name, source) == view.prefixes
    ]


def _not_told(session: Session, core: Core, look: _Look) -> list[str]:
    """The syncs, never applied, of whose templates only a render tells which keys they read."""
    told = {reader["sync"] for reader in look.readers}
    syncs = core.loaded.config.syncs
    return [
        name
        for name in unapplied(session, core, look.source, look.view)
        if name not in told and not _is_told_by_configuration(syncs[name])
    ]


def _is_told_by_configuration(sync: Sync) -> bool:
    """Whether every value of a sync is written as a reference or a constant."""
    from confsync.config.models import Composed

    values = (sync.data or {}).values()
    templates = sync.template, sync.templates, sync.for_each
    return not any(templates) and not any(isinstance(value, Composed) for value in values)


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
        return any(read.under(prefix) in addresses for prefix in prefixes)

    return reads_it


def print_key(facts: dict[str, Any]) -> None:
    """What is known of a key, for people."""
    from confsync.cli.look import shown_value
    from confsync.cli.printing import path_of
    from confsync.text import printable, revision_text

    click.echo(click.style(printable(f"{facts['source']}:{facts['key']}"), bold=True))
    _print_documentation(facts)
    if facts["exists"]:
        revision = f"  (revision {revision_text(facts['revision'])})" if facts["revision"] else ""
        value = shown_value(facts) if facts["fetched"] else "made when apply fetches it"
        click.echo(f"  value     {value}{revision}")
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
        written = f"{revision}written {reader['written'] or 'never'}" if reader["applied"] else _NOT_APPLIED
        click.echo(f"  goes to   {path_of(reader['target'])}  [{reader['sync']}]  {written}")
    if facts["not_applied"]:
        click.echo(f"  goes to   perhaps what {', '.join(facts['not_applied'])} will make: {_NOT_APPLIED}")
    if not facts["goes_to"] and not facts["not_applied"]:
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
