"""`confsync diff`: how environments differ, in their keys or in what a sync makes of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import click

from confsync.cli.options import (
    Options,
    complete_environments,
    complete_syncs,
    credentials_option,
    given,
    global_options,
)

if TYPE_CHECKING:
    from confsync.cli.session import Session
    from confsync.config.loading import LoadedConfig
    from confsync.environments.comparison import Comparison
    from confsync.environments.comparison.renders import ComparedRenders
    from confsync.reconcile.core import Core

_PIPED = 120
"""Columns of a line where there is no terminal to ask: a CI job's log."""


@click.command(short_help="Show how environments differ.")
@click.argument(
    "words",
    nargs=-1,
    metavar="ENV ENV [ENV]... [[SOURCE:]PREFIX]",
    shell_complete=complete_environments,
)
@click.option(
    "--sync",
    "syncs",
    multiple=True,
    metavar="SYNC",
    shell_complete=complete_syncs,
    help="Compare what this sync makes under each of them; repeatable.",
)
@click.option("--all", "everything", is_flag=True, help="List the keys that are the same, too.")
@credentials_option
@global_options
@click.pass_context
def diff(context: click.Context, words: tuple[str, ...], syncs: tuple[str, ...], everything: bool) -> int:
    """Show how environments differ: keys that only some have, and values that are not the same.

    With PREFIX only keys at and below it; one that is called like an environment is written with its source, or with
    a slash at its end. Sensitive values are compared, and never shown. Under which of its prefixes an environment has
    a key is no difference; the type of a value is one, where the store keeps types.

    \b
    ~  the values differ              ?  it cannot be read somewhere, and is the same elsewhere
    -  only the first has it          ·  it is made for whoever fetches it, and not compared
    +  only the second has it         ±  of three environments or more, only some have it

    Three environments or more are shown as a table: `=` for the value of the first, `= ENV` for that of another, `-`
    where there is none, and for another sensitive value `•••••• differs`, in little room `≠`.

    With --sync the targets of a sync are shown as they would be under each environment, masked as in a plan.

    diff looks, with your credentials, and brings nothing down: `local` in the configuration does not restrict it, and
    values are shown that env and exec hold back, unless they are sensitive.

    Exit status: 0 the same, 1 something could not be compared, 2 they differ, 3 the configuration or the call is
    invalid.
    """
    from confsync.cli.session import known_syncs, reading, setup_logs

    options = given(context, markdown=True)
    setup_logs(options)
    with reading(options, ledger_needed=False) as session:
        asked = _asked(context, session.loaded, words)
        named = known_syncs(session.loaded, syncs)
        if named is None:
            comparison = _compared(session, asked, everything=everything)
        else:
            if asked.prefix is not None or everything:
                raise click.UsageError("a sync is compared as a whole: leave out PREFIX and --all", context)
            renders = _rendered(session, asked, named)
    if named is None:
        _tell(options, asked, comparison)
        return 2 if comparison.differ else 1 if comparison.incomplete else 0
    _tell_renders(options, asked, renders)
    return 2 if any(one.differ for one in renders) else 1 if any(one.incomplete for one in renders) else 0


class Asked(NamedTuple):
    """What the call is for.

    Attributes:
        named: the environments as they were given, some perhaps twice.
        prefix: what was given as PREFIX, or None.
    """

    named: tuple[str, ...]
    prefix: str | None

    @property
    def environments(self) -> tuple[str, ...]:
        """Each once: an environment is the same as itself."""
        return tuple(dict.fromkeys(self.named))


def _asked(context: click.Context, loaded: LoadedConfig, words: Sequence[str]) -> Asked:
    """Tell the environments from the PREFIX.

    Raises:
        ConfigError: one of the first two words, or one before the last, is no environment.
        click.UsageError: there are fewer than two.
    """
    from confsync.errors import ConfigError

    known = loaded.config.environments
    if not known:
        raise ConfigError(
            f"{loaded.path} has no environments to compare", hint="describe them under environments"
        )
    for at, word in enumerate(words):
        if word in known:
            continue
        if at < 2 or at < len(words) - 1:
            raise ConfigError(f"there is no environment {word!r}{_guess(word, known)}", hint=_list_of(known))
        return Asked(tuple(words[:at]), word)
    if len(words) < 2:
        raise click.UsageError(f"two environments are needed to be compared; {_list_of(known)}", context)
    return Asked(tuple(words), None)


def _guess(word: str, known: Iterable[str], what: str = "") -> str:
    from confsync.text import nearest

    near = nearest(word, known)
    return f"; did you mean {what}{near!r}?" if near else ""


def _list_of(known: Iterable[str]) -> str:
    return f"there is {', '.join(known)}"


# Keys


def _compared(session: Session, asked: Asked, *, everything: bool) -> Comparison:
    from confsync.cli.session import split_key
    from confsync.environments.comparison import compare
    from confsync.source.documentation import Documentation

    source, path = split_key(session.loaded, asked.prefix or "")
    with session.core(asked.environments, personal=True) as core:
        documented = [
            Documentation(session.loaded, core.hub, one)
            for one in asked.environments
            if session.loaded.config.keys
        ]
        comparison = compare(
            core,
            asked.environments,
            documentation=documented,
            source=source,
            path=path,
            keep_same=everything,
        )
        if asked.prefix is not None and comparison.nothing:
            raise _nothing_there(core, session.loaded, asked, source, path)
    return comparison


def _nothing_there(
    core: Core, loaded: LoadedConfig, asked: Asked, source: str | None, path: str
) -> Exception:
    """What to say of a PREFIX that is none: it may have been meant for an environment, or for another key."""
    from confsync.environments.comparison import compare
    from confsync.errors import ConfigError
    from confsync.text import nearest

    everything = compare(core, asked.environments, source=source, keep_same=True)
    known = {step for key in everything.keys for step in _steps(key.path)}
    near = nearest(path, known)
    guesses = [] if source else [_guess(path, loaded.config.environments, "the environment ").strip("; ")]
    guesses += [f"the nearest key is {near!r}"] if near else []
    guesses += [f"all of a source is {path}:"] if source is None and path in loaded.config.sources else []
    text = f"{asked.prefix!r} is no environment, and" if source is None else f"{asked.prefix!r}:"
    return ConfigError(
        f"{text} no key is at or below it in {_and(asked.environments)}",
        hint="; ".join(filter(None, guesses)) or "list the keys with: confsync ls",
    )


def _steps(path: str) -> Iterator[str]:
    """A path, the secret whose field it is, and every path it is below."""
    yield path
    path = path.partition("#")[0]
    yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _tell(options: Options, asked: Asked, comparison: Comparison) -> None:
    if options.as_json:
        from confsync.cli.diff_json import comparison_as_json
        from confsync.cli.printing import print_json

        print_json(comparison_as_json(comparison, asked.prefix))
    elif options.as_markdown:
        from confsync.cli.diff_markdown import comparison_as_markdown

        _print(comparison_as_markdown(comparison))
    else:
        from confsync.cli.diff_text import comparison_as_text

        _print(comparison_as_text(comparison, _and(asked.named), _columns()))
    from confsync.cli.diff_text import doubts

    _complain(doubts(comparison))


# Renders


def _rendered(session: Session, asked: Asked, syncs: Sequence[str]) -> list[ComparedRenders]:
    """Each sync under each environment, all at one revision; whether a source is needed, a render tells."""
    from confsync.environments.comparison.renders import compare_renders, render_under

    with session.core(asked.environments, personal=True) as core:
        core.hub.refresh()
        return [
            compare_renders(sync, [render_under(core, sync, one) for one in asked.environments])
            for sync in syncs
        ]


def _tell_renders(options: Options, asked: Asked, renders: Sequence[ComparedRenders]) -> None:
    if options.as_json:
        from confsync.cli.diff_json import all_renders_as_json
        from confsync.cli.printing import print_json

        print_json(all_renders_as_json(renders))
    elif options.as_markdown:
        from confsync.cli.diff_markdown import renders_as_markdown

        _print(renders_as_markdown(renders))
    else:
        from confsync.cli.diff_renders import renders_as_text

        columns = _columns() if sys.stdout.isatty() and _columns() >= _WIDE else None
        _print(line for one in renders for line in renders_as_text(one, _and(asked.named), columns))
    from confsync.cli.diff_renders import render_doubts

    _complain(dict.fromkeys(line for one in renders for line in render_doubts(one)))


_NARROWEST = 20
"""Columns that are written for, however few there are."""

_AT_ONCE = 500
"""Lines printed by one write."""

_WIDE = 100
"""Columns of a terminal in which two files stand side by side."""


def _columns() -> int:
    return max(_NARROWEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _PIPED


def _print(lines: Iterable[str]) -> None:
    """Print many lines, in few writes; more than one, so that a reader who has gone is noticed."""
    left = iter(lines)
    while some := list(islice(left, _AT_ONCE)):
        click.echo("\n".join(some))


def _complain(lines: Iterable[str]) -> None:
    from confsync.cli.printing import complain

    for line in lines:
        complain(line)
