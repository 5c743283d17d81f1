"""`confsync check`, `schema` and `completion`: what one needs while writing a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from confsync.cli.options import Options, given, global_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confsync.cli.session import Session
    from confsync.reconcile.core import Core


@click.command(short_help="Validate the configuration and its templates.")
@click.option(
    "--online",
    is_flag=True,
    help="Also read the sources, render every sync, and ask the API server whether it would take the result.",
)
@global_options
@click.pass_context
def check(context: click.Context, *, online: bool) -> int:
    """Validate the configuration and its templates.

    Every problem is shown with file, line and what to write instead. Nothing is written, and without --online nobody
    is asked. With it, what is wrong is also what an apply would meet: a key that is missing, a path that is denied,
    a Secret that the API server refuses in a dry run; and whatever an environment has, or lacks, against what the
    configuration says under `keys`.

    Exit status: 0 valid, 1 something is wrong outside the configuration (--online), 3 the configuration is invalid.
    """
    from confsync.cli.printing import print_json
    from confsync.cli.session import setup_logs
    from confsync.errors import ConfigError

    options = given(context)
    setup_logs(options)
    try:
        return _checked(options, online=online)
    except ConfigError as exc:
        if not options.as_json:
            raise
        print_json({"valid": False, "problems": str(exc).splitlines(), "notes": []})
        return 3


def _checked(options: Options, *, online: bool) -> int:
    from confsync.cli.printing import complain, print_json
    from confsync.cli.session import reading
    from confsync.environments.documented_values import wrong_patterns
    from confsync.errors import ConfigError
    from confsync.source.registry import validate_source
    from confsync.text import plural

    problems: list[str] = []
    outside: list[str] = []
    notes: list[str] = []
    with reading(options, ledger_needed=online) as session:
        config = session.loaded.config
        for name in config.sources:
            try:
                validate_source(session.loaded, name)
            except ConfigError as exc:
                problems += str(exc).splitlines()
        if not problems:
            with session.core() as core:
                problems += _wrong_rules(core)
                problems += wrong_patterns(core)
                for name, sync in config.syncs.items():
                    where = session.loaded.where(("syncs", name), of_key=True)
                    problems += [
                        f"{where}: sync {name!r}: {error}" for error in core.renderer.check_syntax(name, sync)
                    ]
                if online and not problems:
                    outside, notes = _rehearsed(core)
            if online and not problems:
                wrong, unseen = _documented(session)
                outside, notes = outside + wrong, notes + unseen
    if options.as_json:
        print_json({"valid": not problems, "problems": problems + outside, "notes": notes})
        return 3 if problems else 1 if outside else 0
    if not problems:
        size = f"{plural(len(config.sources), 'source')}, {plural(len(config.syncs), 'sync')}"
        accepted = "; all of it would be accepted" if online and not outside else ""
        click.echo(f"{session.loaded.path} is valid: {size}{accepted}")
    for told in problems + outside + notes:
        complain(told)
    return 3 if problems else 1 if outside else 0


def _wrong_rules(core: Core) -> Iterator[str]:
    """The rules of `local` that name nothing there can be."""
    from confsync.environments.policy import Policy
    from confsync.errors import ConfigError

    for environment in core.loaded.config.local:
        try:
            Policy(core.loaded, core.hub, environment)
        except ConfigError as exc:
            yield str(exc)


def _rehearsed(core: Core) -> tuple[list[str], list[str]]:
    """What would keep an apply from making everything as it is wanted, and what else is to be known of it."""
    from confsync.ledger.records import State
    from confsync.reconcile.reconciler import Reconciler

    core.hub.refresh()
    reconciler = Reconciler(core, looking=True, rehearsing=True)
    assessments = [reconciler.assess(name) for name in core.loaded.config.syncs]
    problems: dict[str, list[str]] = {}  # what is wrong with several is told once
    for one in assessments:
        for text in (*((one.detail,) if one.state is not State.OK else ()), *one.problems):
            problems.setdefault(text, []).append(repr(one.name))
    wrong = [
        f"sync{'s' if len(names) > 1 else ''} {', '.join(names)}: {text}" for text, names in problems.items()
    ]
    notes = [f"sync {one.name!r}: {text}" for one in assessments for text in one.notes]
    return wrong, notes


def _documented(session: Session) -> tuple[list[str], list[str]]:
    """What of environments is not as `keys` says, read by a sync or not; and what could not be looked at."""
    if not session.loaded.config.keys:
        return [], []
    from confsync.environments.documented_values import environments_of, look, used_of

    used = used_of(session.loaded, session.options.environment)
    wrong: list[str] = []
    unseen: list[str] = []
    for environment in environments_of(session.loaded, session.options.environment):
        # One by one: who may not read one of them may read the others.
        with session.core((environment,)) as core:
            core.hub.refresh()
            found = look(core, environment, used=environment in used)
        where = f"environment {environment!r}: " if environment else ""
        wrong += [f"{where}{text}" for text in found.problems]
        unseen += [f"{where}{text}" for text in found.unseen]
    return wrong, unseen


@click.command(short_help="Print the configuration's JSON Schema.")
@global_options
@click.pass_context
def schema(context: click.Context) -> int:
    """Print the configuration's JSON Schema, the options of every installed backend included.

    \b
    Editors check as you type with a first line such as
    # yaml-language-server: $schema=confsync.schema.json
    """
    from confsync.cli.printing import print_json
    from confsync.source.registry import config_schema

    given(context)
    print_json(config_schema())
    return 0


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@global_options
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    \b
    bash   source <(confsync completion bash)
    zsh    source <(confsync completion zsh)
    fish   confsync completion fish | source
    """
    from click.shell_completion import get_completion_class

    from confsync.cli.main import cli

    given(context)
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice above
    # Not `.source()`: that would check the version of the bash it runs, which may be another than the reader's.
    script = kind(cli, {}, "confsync", "_CONFSYNC_COMPLETE")
    click.echo(script.source_template % script.source_vars())
    return 0
