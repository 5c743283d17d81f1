"""`confsync docs`: the table of what is said of keys, for a wiki."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from confsync.cli.options import given, global_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from confsync.cli.session import Session
    from confsync.config.keys import Key
    from confsync.config.loading import LoadedConfig
    from confsync.config.patterns import Pattern
    from confsync.environments.presence import Presence

_TITLES = ("key", "what it is", "owner", "type", "required in", "variable")


@click.command(short_help="Print what is said of keys, as a table for a wiki.")
@click.option(
    "--online",
    is_flag=True,
    help="Also read the sources: which environments have each key, how many are documented nowhere.",
)
@global_options
@click.pass_context
def docs(context: click.Context, *, online: bool) -> int:
    """Print what is said of keys under `keys`, as a table for a wiki: in Markdown, if not told otherwise.

    Without --online nobody is asked for anything.

    Exit status: 0, 1 a source cannot be read (--online), 3 the configuration is invalid.
    """
    from confsync.cli.printing import complain, print_json
    from confsync.cli.session import reading, setup_logs

    options = given(context, markdown=True)
    setup_logs(options)
    with reading(options, ledger_needed=False) as session:
        rows = _rows(session.loaded)
        found = _found(session) if online else {}
    if options.as_json:
        print_json(_facts(rows, found))
    elif options.output == "text":
        _print_text(list(session.loaded.config.sources), rows, found)
    else:
        for line in _markdown(list(session.loaded.config.sources), rows, found):
            click.echo(line)
    if not rows:
        click.echo("confsync: the configuration says nothing of any key: write it under `keys`", err=True)
    problems = _problems(found)
    for problem in problems:
        complain(problem)
    return 1 if problems else 0


@dataclass(frozen=True, slots=True)
class _Row:
    """One entry of `keys`.

    Attributes:
        text: as it is written there.
        path: without the source.
        variable: what it is called, or "".
        required: the environments that have to have it, in words.
    """

    text: str
    source: str | None
    path: str
    key: Key
    variable: str
    required: str


def _rows(loaded: LoadedConfig) -> list[_Row]:
    from confsync.config.patterns import parse_pattern

    rows = []
    for text, key in loaded.config.keys.items():
        pattern = parse_pattern(text, loaded.config.sources)
        path = pattern.glob if pattern.wild else pattern.key
        rows.append(_Row(text, pattern.source, path, key, _variable(loaded, pattern, key), _required(key)))
    return rows


def _required(key: Key) -> str:
    return ", ".join(key.required) if isinstance(key.required, list) else "all" if key.required else ""


def _variable(loaded: LoadedConfig, pattern: Pattern, key: Key) -> str:
    """The variable one key becomes; "" of globs, of secrets as a whole, and of what has no legal name."""
    from confsync.environments.variables.naming import variable_name

    if key.variable is not None:
        return key.variable
    if pattern.wild or _is_secret(loaded, pattern):
        return ""
    try:
        return variable_name(pattern.key)
    except ValueError:
        return ""


def _is_secret(loaded: LoadedConfig, pattern: Pattern) -> bool:
    """Whether it names a secret as a whole, of which each field becomes a variable."""
    if "#" in pattern.key:
        return False
    names = [pattern.source] if pattern.source else list(loaded.config.sources)
    return all(map(_holds_secrets, (loaded.config.sources[name].backend for name in names)))


def _holds_secrets(backend: str) -> bool:
    """Whether sources of this kind are asked for one secret at a time, as far as its package is installed."""
    from confsync.driver import AddressedBackend
    from confsync.errors import ConfigError
    from confsync.source.registry import load_backend

    try:
        return issubclass(load_backend(backend), AddressedBackend)
    except ConfigError:
        return False


def _found(session: Session) -> Mapping[str | None, Presence]:
    """What each environment has, or the one that was chosen; one by one, since who may not read one may read others."""
    from confsync.environments.presence import presence

    chosen, known = session.options.environment, session.loaded.config.environments
    found = {}
    for environment in (chosen,) if chosen else list(known) or (None,):
        with session.core((environment,)) as core:
            core.hub.refresh()
            found[environment] = presence(core, environment)
    return found


def _facts(rows: Iterable[_Row], found: Mapping[str | None, Presence]) -> dict[str, Any]:
    from confsync.cli.documented import facts_of

    keys = []
    for row in rows:
        facts = facts_of(row.key, None) | {"required": row.key.required, "variable": row.variable or None}
        online = {"environments": {_name(one): has.answers.get(row.text) for one, has in found.items()}}
        keys.append({"key": row.path, "source": row.source, **facts, **(online if found else {})})
    undocumented = {_name(one): dict(has.undocumented) for one, has in found.items()}
    return {"keys": keys, **({"undocumented": undocumented} if found else {})}


def _name(environment: str | None) -> str:
    """What stands for an environment where there are none."""
    return environment if environment is not None else "root"


def _where(environment: str | None) -> str:
    return f"environment {environment!r}: " if environment is not None else ""


def _tables(sources: Sequence[str], rows: Sequence[_Row]) -> Iterator[tuple[str, list[_Row]]]:
    """The rows by source, in the order of the configuration; first what is for any."""
    for source in (None, *sources):
        of_source = [row for row in rows if row.source == source]
        if of_source:
            yield source or ("any source" if len(sources) > 1 else "".join(sources)), of_source


def _cells(row: _Row, found: Mapping[str | None, Presence]) -> list[str]:
    from confsync.cli.documented import rule_of

    answers = [str(has.answers.get(row.text, "")) for has in found.values()]
    about = " ".join((row.key.about or "").split())
    return [row.path, about, row.key.owner or "", rule_of(row.key), row.required, row.variable, *answers]


def _undocumented(found: Mapping[str | None, Presence]) -> Iterator[str]:
    """How many keys there are of which nothing is said."""
    from confsync.text import plural

    for environment, has in found.items():
        for source, count in has.undocumented.items():
            what = (
                "its keys could not be listed" if count is None else f"{plural(count, 'key')} not documented"
            )
            if count != 0:
                yield f"{_where(environment)}{source}: {what}"


def _problems(found: Mapping[str | None, Presence]) -> list[str]:
    """Why what is unreadable is; what is so in every environment is told once."""
    told: dict[str, list[str | None]] = {}
    for environment, has in found.items():
        for problem in has.problems:
            told.setdefault(problem, []).append(environment)
    everywhere = [problem for problem, where in told.items() if len(where) == len(found)]
    return [
        *everywhere,
        *(f"{_where(one)}{text}" for text, where in told.items() if text not in everywhere for one in where),
    ]


def _markdown(
    sources: Sequence[str], rows: Sequence[_Row], found: Mapping[str | None, Presence]
) -> Iterator[str]:
    from confsync.cli.markdown import code, escaped

    titles = [*_TITLES, *map(_name, found)]
    for title, of_source in _tables(sources, rows):
        yield f"## {escaped(title)}\n"
        yield f"| {' | '.join(map(escaped, titles))} |"
        yield f"|{' --- |' * len(titles)}"
        for row in of_source:
            path, about, owner, rule, required, variable, *answers = _cells(row, found)
            cells = [
                code(path),
                *map(escaped, (about, owner, rule, required)),
                code(variable),
                *map(escaped, answers),
            ]
            yield f"| {' | '.join(cells)} |"
        yield ""
    yield from (f"- {escaped(line)}" for line in _undocumented(found))


def _print_text(sources: Sequence[str], rows: Sequence[_Row], found: Mapping[str | None, Presence]) -> None:
    from confsync.cli.printing import table
    from confsync.text import printable

    titles = [*_TITLES, *map(_name, found)]
    for title, of_source in _tables(sources, rows):
        click.echo(click.style(title, bold=True))
        table([titles, *(list(map(printable, _cells(row, found))) for row in of_source)])
        click.echo()
    for line in _undocumented(found):
        click.echo(line)
