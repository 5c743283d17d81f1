"""`confsync get` and `ls`: look into the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from confsync.cli.options import given, global_options
from confsync.redact import DOTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confsync.config.keys import Key
    from confsync.reconcile.core import Core
    from confsync.snapshot import Found, View
    from confsync.source.documentation import Documentation

_LONGEST = 200
"""Characters of a value in a line of output."""


@click.command(short_help="Print the value of one key.")
@click.argument("key", metavar="[SOURCE:]PATH")
@click.option("--reveal", is_flag=True, help="Print a sensitive value in clear.")
@global_options
@click.pass_context
def get(context: click.Context, key: str, reveal: bool) -> int:
    """Print the value of one key, as the environment shows it.

    Without a source, the first one in the configuration that has the key is asked.

    Exit status: 0 found, 1 not found or not readable, 3 the configuration is invalid.
    """
    from confsync.cli.printing import print_json
    from confsync.cli.session import reading, refresh_or_raise, setup_logs, split_key
    from confsync.errors import ConfsyncError
    from confsync.snapshot import full_key

    options = given(context)
    setup_logs(options)
    with reading(options, ledger_needed=False) as session:
        source, path = split_key(session.loaded, key)
        environment = options.environment or session.loaded.config.defaults.environment
        with session.core((environment,)) as core:
            refresh_or_raise(core, source)
            names = [source] if source else list(core.hub.sources)
            holder, path, found = _holder(core, environment, names, path)
            if not found.fetched:
                raise ConfsyncError(
                    f"{holder}:{path} is made when it is fetched; get only looks",
                    hint="confsync explain shows where it goes",
                )
            sensitive = core.hub.is_sensitive(holder)(path)
            shown = reveal or not sensitive
            if options.as_json:
                place = {
                    "source": holder,
                    "key": full_key(found.prefix, path),
                    "revision": found.entry.revision,
                }
                print_json(place | value_facts(found.entry.value, sensitive=sensitive, reveal=reveal))
            else:
                click.echo(found.entry.value if shown else DOTS)
                if not shown:
                    click.echo("confsync: the value is sensitive; print it with --reveal", err=True)
    return 0


def _holder(core: Core, environment: str | None, sources: Sequence[str], text: str) -> tuple[str, str, Found]:
    """The first of these sources that has a key, the key in its spelling, and what is there.

    Raises:
        SourceError: none has it, and one could not be asked.
        ConfsyncError: none has it.
    """
    from confsync.errors import ConfsyncError, SourceError

    problem: SourceError | None = None
    hints = []
    for name in sources:
        view = core.hub.view(name, environment, looking=True)
        try:
            path = view.spell(text)
            found = view.find(path)
            if found is not None:
                return name, path, found
            absent = view.absent(path)
        except SourceError as exc:
            problem = problem or exc
            continue
        hints += [absent.detail] if absent.detail else []
        hints += [f"did you mean {absent.nearest!r}?"] if absent.nearest else []
    if problem is not None and not hints:
        raise problem
    hint = "; ".join(hints) or "list the keys with: confsync ls"
    raise ConfsyncError(f"there is no key {text!r} in {', '.join(sources)}", hint=hint)


@click.command(short_help="List the keys of a source.")
@click.argument("prefix", metavar="[SOURCE:]PREFIX", default="")
@click.option("--values", is_flag=True, help="Show values too; sensitive ones are masked.")
@global_options
@click.pass_context
def ls(context: click.Context, prefix: str, values: bool) -> int:
    """List the keys of the sources, or those below PREFIX, with their revisions, and what is said of them.

    Exit status: 0, 1 a source cannot be read or nothing is there, 3 the configuration is invalid.
    """
    from confsync.cli.printing import complain, print_json, table
    from confsync.cli.session import reading, refresh_or_raise, setup_logs, split_key
    from confsync.errors import SourceError

    options = given(context)
    setup_logs(options)
    with reading(options, ledger_needed=False) as session:
        source, path = split_key(session.loaded, prefix)
        environment = options.environment or session.loaded.config.defaults.environment
        rows: list[_Row] = []
        problems: list[str] = []
        with session.core((environment,)) as core:
            refresh_or_raise(core, source)
            documentation = core.documentation(environment)
            for name in [source] if source else core.hub.sources:
                view = core.hub.view(name, environment, looking=True)
                try:
                    rows += _rows(core, documentation, name, view, path, values=values)
                except SourceError as exc:
                    problems.append(str(exc))
            if path.strip("/") and not rows and not problems:
                problems.append(_nothing_there(core, environment, source, path))
    if options.as_json:
        print_json([_facts(row, values=values) for row in rows])
    else:
        table(_cells(rows))
    for problem in problems:
        complain(problem)
    return 1 if problems else 0


def _nothing_there(core: Core, environment: str | None, source: str | None, path: str) -> str:
    """That there is no such key and nothing below it, with what was meant, perhaps."""
    where = f" in environment {environment}" if environment is not None else ""
    named = f"{source}:{path}" if source else path
    return f"there is nothing at or below {named!r}{where} ({_meant(core, environment, source, path)})"


def _meant(core: Core, environment: str | None, source: str | None, path: str) -> str:
    """What to type instead."""
    config = core.loaded.config
    if source is None and path in config.environments:
        return f"that is an environment: confsync ls -e {path}"
    if source is None and path in config.sources:
        return f"that is a source: confsync ls {path}:"
    from confsync.text import nearest

    wanted = path.strip("/*")
    near = nearest(wanted, _places(core, environment, [source] if source else list(core.hub.sources)))
    glob = "it is a prefix, no pattern; " if any(sign in path for sign in "*?[") else ""
    return f"{glob}did you mean {near!r}?" if near else f"{glob}list all keys with: confsync ls"


def _places(core: Core, environment: str | None, sources: Sequence[str]) -> set[str]:
    """The keys of these sources, and what they lie below, as far as they are listed to us."""
    from confsync.errors import SourceError

    found: set[str] = set()
    for name in sources:
        view = core.hub.view(name, environment, looking=True)
        try:
            paths = [one.rstrip("/") for one in view.under("")] if view.by_request else view.paths()
        except SourceError:
            continue
        found |= {
            path.rsplit("/", depth)[0] for path in paths for depth in range(min(4, path.count("/") + 1))
        }
    return found


class _Row(NamedTuple):
    """A key as it is asked for, as it is stored, its revision and its value, as far as they were looked up."""

    key: str
    documented: Key | None
    sensitive: bool
    stored_as: str = ""
    revision: int | None = None
    value: bytes | None = None


def _facts(row: _Row, *, values: bool) -> dict[str, Any]:
    key = row.documented
    facts: dict[str, Any] = {"key": row.key, "stored_as": row.stored_as, "revision": row.revision}
    facts |= value_facts(row.value, sensitive=row.sensitive) if values else {}
    return facts | {name: getattr(key, name, None) for name in ("about", "owner", "type")}


def _cells(rows: Sequence[_Row]) -> list[tuple[str, ...]]:
    """Columns; one for what is said of keys only where something is."""
    from confsync.cli.documented import about_and_owner
    from confsync.text import printable, revision_text

    told = [about_and_owner(key.about, key.owner) if (key := row.documented) else "" for row in rows]
    return [
        (
            printable(row.key),
            "" if row.revision is None else f"revision {revision_text(row.revision)}",
            *((about,) if any(told) else ()),
            "" if row.value is None else shown_value(value_facts(row.value, sensitive=row.sensitive)),
        )
        for row, about in zip(rows, told, strict=True)
    ]


def _rows(
    core: Core, documentation: Documentation, name: str, view: View, text: str, *, values: bool
) -> Iterator[_Row]:
    """A line for each key of the source `name` at and below `text`."""
    from confsync.snapshot import full_key

    is_sensitive = core.hub.is_sensitive(name)
    for one in _listed(view, text, values=values):
        found = view.find(one) if values or not view.by_request else None
        row = _Row(f"{name}:{one}", documentation.of(name, one), is_sensitive(one))
        if found is not None:
            value = found.entry.value if values else None
            yield row._replace(
                stored_as=full_key(found.prefix, one), revision=found.entry.revision, value=value
            )
        elif view.by_request:
            yield row


def _listed(view: View, text: str, *, values: bool) -> Iterator[str]:
    """The keys at and below what somebody typed; of secrets whose values are wanted, each field."""
    if not view.by_request:
        path = view.spell(text)
        yield from [path, *view.under(path)] if path else view.under("")
        return
    from confsync.environments.listing import fields

    for path in view.below(text):
        yield from fields(view, path) if values else [path]


def value_facts(value: bytes | None, *, sensitive: bool, reveal: bool = False) -> dict[str, Any]:
    """A value for programs: all of it, or null where there is none to be told or it is sensitive."""
    from confsync.cli.printing import as_text

    text, encoding = (None, None) if value is None or (sensitive and not reveal) else as_text(value)
    return {"sensitive": sensitive, "value": text, "encoding": encoding}


def shown_value(facts: Mapping[str, Any]) -> str:
    """A value, of which this is told to programs, for a line of output: masked, escaped, not too long."""
    from base64 import b64decode

    from confsync.text import printable

    if facts["sensitive"]:
        return DOTS
    value = facts["value"] or ""
    if facts["encoding"]:
        value = b64decode(value).decode("utf-8", "backslashreplace")
    text = printable(value[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
