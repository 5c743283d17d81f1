"""`confsync env`: what an environment comes down to, printed, written, and removed again."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
    from confsync.environments.output.writing_out import Outcome
    from confsync.environments.output.written import WrittenFiles
    from confsync.environments.variables import Collected, Variable
    from confsync.environments.variables.selection import Selection

_STDOUT = "-"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How the command was called.

    Attributes:
        out: the path of the file to write, `-` for stdout, or None where it was not said.
        lifetime: `--ttl` in seconds, or None.
    """

    environment: str
    form: str
    dialect: str | None
    out: str | None
    lifetime: float | None
    reveal: bool
    strict: bool
    selection: Selection


def _complete_formats(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from confsync.environments.dialects import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


def _complete_dialects(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from confsync.environments.dialects import DIALECTS

    return [name for name in DIALECTS if name.startswith(incomplete)]


@click.command(short_help="Print or write the variables an environment comes down to.")
@click.argument("words", nargs=-1, metavar="ENV [[SOURCE:]PREFIX]...", shell_complete=complete_environments)
@click.option(
    "--key", "globs", multiple=True, metavar="[SOURCE:]GLOB", help="Only keys that match; repeatable."
)
@click.option(
    "--without", multiple=True, metavar="[SOURCE:]GLOB", help="Leave out keys that match; repeatable."
)
@click.option(
    "--sync", "syncs", multiple=True, metavar="SYNC", shell_complete=complete_syncs,
    help="The variables of a sync: of its data map, or for the keys its templates read; repeatable. "
    "With keys selected besides it is both.",
)  # fmt: skip
@click.option("--documented", is_flag=True, help="Only keys that the configuration's `keys` describes.")
@click.option(
    "--format", "form", metavar="FORMAT", shell_complete=_complete_formats,
    help="dotenv, shell, fish, powershell, json, yaml, toml, docker, github, gitlab, systemd, direnv or vscode.  "
    "[default: by the name of --out, else dotenv]",
)  # fmt: skip
@click.option(
    "--dialect", metavar="READER", shell_complete=_complete_dialects,
    help="Who reads the dotenv: common (what all read alike), python-dotenv, node, compose or shell.",
)  # fmt: skip
@click.option(
    "--out", metavar="FILE", type=click.Path(), help="Write FILE, your own lines kept; - is stdout."
)
@click.option(
    "--ttl", metavar="DURATION", help="When FILE should be gone, such as 1h; you are reminded of it."
)
@click.option("--reveal", is_flag=True, help="Show secrets on a terminal, and in --output json.")
@click.option("--strict", is_flag=True, help="Write nothing if a key is held back or denied.")
@click.option("--clean", is_flag=True, help="Remove what --out wrote: all of it, or FILE.")
@click.option("--expired", is_flag=True, help="With --clean: only what is past its time.")
@credentials_option
@global_options
@click.pass_context
def env(
    context: click.Context,
    words: tuple[str, ...],
    *,
    globs: tuple[str, ...],
    without: tuple[str, ...],
    syncs: tuple[str, ...],
    documented: bool,
    form: str | None,
    dialect: str | None,
    out: str | None,
    ttl: str | None,
    reveal: bool,
    strict: bool,
    clean: bool,
    expired: bool,
) -> int:
    """Print or write the environment variables that ENV comes down to: `api/url` is API_URL, `db#password` DB_PASSWORD.

    \b
      confsync env prod                          look: secrets are dots on a terminal
      confsync env prod api cache --out .env     into .env, among your own lines
      confsync env prod --out .env --ttl 1h      and you are reminded to remove it
      confsync env --clean                       remove what was written
      eval "$(confsync env dev --format shell)"  into this shell
      confsync env dev --format json | jq .      for programs

    What comes down is decided by `local` in the configuration and by what your own credentials may read. stderr says
    what does not, and why; a value that cannot be a variable ends the command before anything is written.

    \b
    --out FILE   Formats of lines are merged: our block stands between two marks, all other lines are yours and stay
                 byte for byte. A variable you set in them wins, and so does a line you change in the block. In a
                 script the block comes first, and what is below it wins. json, yaml, toml, vscode, github and
                 gitlab are written to a new file, or one that confsync env wrote. A --ttl stays until the next one.
                 FILE is 0600. With secrets it has to be one that git ignores.
    --clean      `confsync env --clean [FILE]...` removes what this configuration wrote; with --expired, from
                 whichever configuration, what is past its --ttl. Your own lines stay.
    --format github without --out appends to $GITHUB_ENV, and prints the commands that mask the secrets in the log.

    --output json prints a report in place of the result: `variables` (each with value, key, sensitive, substituted_by),
    `held_back`, `denied`, `not_fetched`, `overrides`, `file`. Secrets are null in it unless --reveal. The result itself
    is --format json.

    Exit status: 0 done, 1 a source cannot be read, a value cannot be used or FILE not be written, 3 the configuration
    or the call is invalid.
    """  # fmt: skip
    from confsync.cli.session import setup_logs

    options = given(context)
    setup_logs(options)
    if clean:
        _refuse(
            context,
            "--clean",
            globs or without or syncs or form or dialect or out or ttl or reveal or strict or documented,
        )
        from confsync.cli.env_clean import cleaned

        return cleaned(options, words, expired=expired)
    if expired:
        raise click.UsageError("--expired goes with --clean", context)
    from confsync.environments.output.place import place_of
    from confsync.environments.variables.selection import Selection

    wanted = _Wanted(
        environment=words[0] if words else "",
        form=_form(form, out),
        dialect=dialect,
        out=out if out in (None, _STDOUT) else place_of(out),
        lifetime=_lifetime(context, ttl, out),
        reveal=reveal,
        strict=strict,
        selection=Selection(words[1:], globs, syncs, documented=documented, without=without),
    )
    return _env(context, options, wanted)


def _form(said: str | None, out: str | None) -> str:
    """The format: as it was said, or by the file's name."""
    from confsync.environments.dialects import FORMATS, form_by_name
    from confsync.errors import ConfigError
    from confsync.text import did_you_mean

    if said is None:
        return form_by_name(out or "")
    if said not in FORMATS:
        raise ConfigError(
            f"there is no format {said!r}{did_you_mean(said, FORMATS)}", hint=", ".join(FORMATS)
        )
    return said


def _refuse(context: click.Context, option: str, other: object) -> None:
    if other:
        raise click.UsageError(f"{option} goes with --expired and names of files only", context)


def _lifetime(context: click.Context, ttl: str | None, out: str | None) -> float | None:
    from confsync.units import parse_duration

    if ttl is None:
        return None
    if out in (None, _STDOUT):
        raise click.UsageError("--ttl is for a file: add --out FILE", context)
    try:
        seconds = parse_duration(ttl)
    except ValueError as exc:
        raise click.UsageError(f"--ttl: {exc}", context) from None
    if not 0 < seconds < 10 * 365 * 86400:
        raise click.UsageError("--ttl: more than nothing, and less than ten years", context)
    return seconds


def _env(context: click.Context, options: Options, wanted: _Wanted) -> int:
    from confsync.cli.env_report import Report, remind, tell
    from confsync.cli.session import reading
    from confsync.environments.execution.scratch import roots, sweep
    from confsync.environments.output.written import WrittenFiles, directory_for

    sweep(roots())
    files = WrittenFiles(directory_for(options.state_dir))
    _check_call(context, options, wanted, files)
    with reading(options, ledger_needed=False) as session:
        _check_environment(context, session, wanted.environment)
        _check_place(session, wanted.out)
        collected, places = _collected(session, wanted)
    report = Report(wanted.environment, collected, places, json=options.as_json, reveal=wanted.reveal)
    if wanted.strict and (collected.held_back or collected.denied):
        replace(report, collected=replace(collected, variables=())).print_json()
        tell(report)
        return _strictly_refused(collected)
    report = replace(report, outcome=_given_out(session, files, wanted, collected, quiet=options.as_json))
    report.print_json()
    tell(report)
    remind(files)
    return 0


def _check_call(context: click.Context, options: Options, wanted: _Wanted, files: WrittenFiles) -> None:
    """Refuse what does not go together, before any store is asked."""
    problem = None
    if wanted.lifetime is not None and files.directory is None:
        problem = "--ttl has to be kept somewhere, and --state-dir memory keeps nothing"
    elif wanted.form == "github" and wanted.out != _STDOUT and options.as_json:
        problem = "--format github prints what masks the secrets: leave out --output json"
    elif wanted.form == "github" and wanted.out is None and not os.environ.get("GITHUB_ENV"):
        problem = "$GITHUB_ENV is not set, as it is in a job of GitHub Actions: name a file with --out"
    if problem:
        raise click.UsageError(problem, context)


def _check_environment(context: click.Context, session: Session, name: str) -> None:
    from confsync.errors import ConfigError
    from confsync.text import nearest, printable

    known = session.loaded.config.environments
    there = f"there is {', '.join(map(printable, known))}"
    if not known:
        raise ConfigError(
            f"{session.loaded.path} has no environments", hint="describe them under `environments`"
        )
    if not name:
        raise click.UsageError(f"name an environment: {there}", context)
    if name not in known:
        near = nearest(name, known)
        guess = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"there is no environment {name!r}{guess}", hint=there)
    if session.options.environment not in (None, name):
        raise click.UsageError(f"two environments: {name} and -e {session.options.environment}", context)


def _check_place(session: Session, path: str | None) -> None:
    """Refuse a file that a sync writes: what is written into it would be drift, and healed away."""
    from confsync.config.references import fixed
    from confsync.environments.output.place import place_of
    from confsync.errors import ConfigError
    from confsync.render.paths import final_path
    from confsync.text import printable

    config, base = session.loaded.config, str(session.loaded.base)
    if path is None:
        return
    written = (
        (name, spec.place)
        for name, sync in config.syncs.items()
        for target in sync.to
        for spec in fixed(config, target.spec)
        if spec.kind == "file"
    )
    for name, place in written:
        if path == place_of(final_path(place, base, name)):
            raise ConfigError(
                f"{printable(path)}: sync {name!r} writes that file, and would take out again what is added to it",
                hint=f"name another file with --out, or have the sync write it: confsync apply {name}",
            )


def _collected(session: Session, wanted: _Wanted) -> tuple[Collected, dict[str, str]]:
    """What comes down, and where the rules are written that substitute some of it."""
    from confsync.environments.policy import Policy
    from confsync.environments.variables.joined import collect_joined

    with session.core((wanted.environment,), personal=True) as core:
        policy = Policy(session.loaded, core.hub, wanted.environment)
        collected = collect_joined(core, wanted.environment, policy, wanted.selection)
    return collected, {one.rule: policy.place(one.rule) for one in collected.variables if one.rule}


def _strictly_refused(collected: Collected) -> int:
    from confsync.cli.printing import complain
    from confsync.text import plural

    held, denied = plural(len(collected.held_back), "key"), plural(len(collected.denied), "key")
    complain(f"--strict: {held} held back, {denied} denied; nothing was written")
    return 1


def _given_out(
    session: Session, files: WrittenFiles, wanted: _Wanted, collected: Collected, *, quiet: bool
) -> Outcome | None:
    """Write or print the variables; `quiet` where stdout is for something else."""
    if wanted.out is not None and wanted.out != _STDOUT:
        return _written_out(session, files, wanted, wanted.out, collected.variables)
    from confsync.cli.env_print import append_for_github, print_variables

    if wanted.form == "github" and wanted.out is None:
        append_for_github(os.environ["GITHUB_ENV"], collected.variables)
    elif not quiet:
        print_variables(wanted.form, wanted.dialect, collected.variables, reveal=wanted.reveal)
    return None


def _written_out(
    session: Session, files: WrittenFiles, wanted: _Wanted, path: str, variables: Sequence[Variable]
) -> Outcome:
    from confsync.cli.env_print import print_masks
    from confsync.environments.output.place import place_of
    from confsync.environments.output.writing_out import Order, write_out

    until = None if wanted.lifetime is None else files.clock.now() + wanted.lifetime
    order = Order(
        path=path,
        form=wanted.form,
        dialect=wanted.dialect,
        environment=wanted.environment,
        config=place_of(str(session.loaded.path)),
        command=shlex.join(["confsync", *sys.argv[1:]]),
        reveal=wanted.reveal,
        until=until,
    )
    outcome = write_out(files, variables, order, os.environ)
    print_masks(outcome.written.masks)
    if files.directory is None:
        forgotten = (
            "--state-dir memory keeps no list of it: env --clean removes it only where you name the file"
        )
        return replace(outcome, notes=(*outcome.notes, forgotten))
    return outcome
