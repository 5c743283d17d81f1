"""`confsync exec`: run a command with what an environment comes down to."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from confsync.cli.options import (
    complete_environments,
    complete_syncs,
    credentials_option,
    given,
    global_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confsync.cli.options import Options
    from confsync.environments.execution.execution import Order
    from confsync.environments.policy import Policy
    from confsync.environments.variables import Collected
    from confsync.reconcile.core import Core
    from confsync.source.changes import Event

_RESTART = "restart"
_SENDABLE = ("HUP", "USR1", "USR2", "INT", "QUIT", "TERM", "WINCH", "CONT")


class _WithCommand(click.Command):
    """Takes what is after the first `--` as it is: options in it are the command's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[__name__] = tuple(args[at + 1 :])
        try:
            return super().parse_args(ctx, args[:at])
        except click.NoSuchOption as exc:
            if "--" in args:
                raise
            raise click.UsageError(
                f"{exc.format_message()} A command and its options stand after --, as in: confsync exec ENV -- ls -l",
                ctx,
            ) from None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND [ARGUMENT]..."]


@click.command(cls=_WithCommand, short_help="Run a command with an environment's values.")
@click.argument("wanted", metavar="ENV", shell_complete=complete_environments)
@click.argument("prefixes", nargs=-1, metavar="[[SOURCE:]PREFIX]...")
@click.option(
    "--key", "globs", multiple=True, metavar="[SOURCE:]GLOB", help="Only keys that match; repeatable."
)
@click.option(
    "--without", multiple=True, metavar="[SOURCE:]GLOB", help="Leave out keys that match; repeatable."
)
@click.option("--documented", is_flag=True, help="Only keys that the configuration's `keys` describes.")
@click.option("--strict", is_flag=True, help="Start nothing if a key is held back or denied.")
@click.option("--sync", "syncs", multiple=True, metavar="SYNC", shell_complete=complete_syncs,
              help="Render this sync into a private directory too; repeatable.")  # fmt: skip
@click.option("--only-syncs", is_flag=True, help="No variables of ENV but those of the syncs' data maps.")
@click.option(
    "--pristine", is_flag=True, help="Give the command none of your own variables but PATH, HOME, LANG…"
)
@click.option("--keep", multiple=True, metavar="NAME",
              help="Give it this one of yours all the same: with --pristine, or a credential; repeatable.")  # fmt: skip
@click.option(
    "--watch", is_flag=True, help="Follow the sources: restart the command when what it got changes."
)
@click.option("--on-change", metavar="restart|SIGNAL",
              help="With --watch: send HUP, USR1, … when files changed, instead of a restart.")  # fmt: skip
@click.option("--kill-after", default="10s", metavar="DURATION", show_default=True,
              help="How long the command may take to end after SIGTERM.")  # fmt: skip
@credentials_option
@global_options
@click.pass_context
def exec(  # noqa: A001 - the command's name
    context: click.Context,
    wanted: str,
    prefixes: tuple[str, ...],
    *,
    globs: tuple[str, ...],
    without: tuple[str, ...],
    documented: bool,
    strict: bool,
    syncs: tuple[str, ...],
    only_syncs: bool,
    pristine: bool,
    keep: tuple[str, ...],
    watch: bool,
    on_change: str | None,
    kill_after: str,
) -> int:
    """Run COMMAND with the variables ENV comes down to, added to your own; ENV's win.

    \b
      confsync exec prod -- ./server
      confsync exec prod api -- ./server                   only the keys below api
      confsync exec prod --sync nginx --only-syncs -- nginx -c {files}/nginx/nginx.conf
      confsync exec prod --pristine -- env                 nothing of your own but PATH, HOME, LANG…
      confsync exec dev --watch -- ./server                restarted when values change

    What comes down is decided by `local` in the configuration and by what your own credentials may read; stderr says
    what does not. Values are in the command's environment and files, in no command line, and pass no shell.

    \b
    --sync       Each target of the sync is a file DIR/SYNC/NAME, readable by you only, on tmpfs where there is one
                 ($XDG_RUNTIME_DIR, else /dev/shm). CONFSYNC_FILES is DIR, and {files} in COMMAND stands for it. A data
                 map's values are variables too. DIR is removed at the end, also when confsync is killed. With
                 --only-syncs the command gets nothing else.
    --pristine   Of your variables the command gets PATH, HOME, USER, LOGNAME, SHELL, TERM, COLORTERM, LANG, LANGUAGE,
                 LC_*, TZ, TMPDIR, PWD, and those named with --keep.
    --keep       Variables that hold credentials for the sources (VAULT_TOKEN, ETCDCTL_PASSWORD…) are confsync's:
                 the command gets one only if you name it here.
    --watch      What changes is made anew; files are switched all at once. Where that fails, a store is down, or the
                 configuration changed, the command goes on with what it has. A restart ends the process that was
                 started, not what that has started: write exec in front of a shell's last command, as in
                 sh -c 'prepare; exec ./server'.
    Signals      are passed on; Ctrl-C reaches the command once. After SIGTERM it has --kill-after to end, then it is
                 killed.

    Exit status: the command's; 128 and the signal's number where one killed it; 127 it is not found, 126 it cannot be
    run; before it ran 1 a source cannot be read or a value not be used, 3 the configuration or the call is invalid.
    """  # fmt: skip
    from confsync.cli import interrupts
    from confsync.cli.session import setup_logs
    from confsync.environments.execution.child import NotStarted
    from confsync.environments.execution.execution import Order, execute
    from confsync.environments.execution.signalling import Interrupted
    from confsync.environments.execution.surroundings import Wanted
    from confsync.environments.variables.selection import Selection
    from confsync.units import parse_duration

    options = given(context)
    setup_logs(options)
    command = context.meta[__name__]
    if not command:
        hint = f"confsync exec {wanted} -- {' '.join(prefixes) or 'COMMAND'}"
        raise click.UsageError(f"there is no command: write it after --, as in: {hint}", context)
    if options.environment not in (None, wanted):
        raise click.UsageError(f"two environments: {wanted} and -e {options.environment}", context)
    if on_change is not None and not watch:
        raise click.UsageError("--on-change goes with --watch", context)
    try:
        patience = parse_duration(kill_after)
    except ValueError as exc:
        raise click.BadParameter(str(exc), context, param_hint="--kill-after") from exc
    if only_syncs and (not syncs or prefixes or globs or without or documented):
        raise click.UsageError("--only-syncs goes with --sync, and selects no keys", context)
    order = Order(
        wanted,
        command,
        None if only_syncs else Selection(prefixes, globs, (), documented, without),
        Wanted(pristine, keep),
        syncs,
        strict,
        watch,
        _reaction(context, on_change or _RESTART),
        patience,
    )
    try:
        opened = partial(_opened, options, order)
        return execute(order, opened, partial(_tell, wanted), interrupts.came)
    except Interrupted as exc:
        from confsync.cli.printing import complain

        complain(f"interrupted before the command was started ({exc})")
        return 128 + exc.number
    except NotStarted as exc:
        from confsync.cli.printing import complain

        complain(str(exc))
        return exc.status
    finally:
        _clean_expired(options)


def _tell(environment: str, collected: Collected, policy: Policy) -> None:
    """Say as `confsync env` does what does not come down; nothing where all of it does, as it is."""
    rules = {one.rule for one in collected.variables if one.rule}
    if not (rules or collected.held_back or collected.denied or collected.idle):
        return
    from confsync.cli.env_report import Report, tell

    places = {rule: policy.place(rule) for rule in rules}
    tell(Report(environment, collected, places, json=False, reveal=False))


def _clean_expired(options: Options) -> None:
    """Remove what `confsync env --out` wrote and is past its time; whatever becomes of that, the status stays."""
    from confsync.environments.output.written import WrittenFiles, directory_for

    files = WrittenFiles(directory_for(options.state_dir))
    if not files.expired():
        return
    from confsync.cli.printing import complain
    from confsync.environments.output.cleaning import Fate, clean_expired
    from confsync.errors import LedgerError
    from confsync.text import printable

    try:
        for one in clean_expired(files):
            what = (
                one.detail
                if one.fate is Fate.FAILED
                else f"{printable(one.path)}: {one.fate.value}, its time is over"
            )
            complain(what)
    except LedgerError as exc:
        complain(f"what is past its time could not be removed: {exc}")


def _reaction(context: click.Context, said: str) -> int | str:
    """What to do when values change: RESTART, or the number of a signal."""
    if said == _RESTART:
        return said
    name = said.upper().removeprefix("SIG")
    if name not in _SENDABLE:
        raise click.BadParameter(
            f"{said!r} is neither restart nor one of {', '.join(_SENDABLE)}",
            context,
            param_hint="--on-change",
        )
    return int(signal.Signals[f"SIG{name}"])


@contextmanager
def _opened(options: Options, order: Order, notify: Callable[[Event], None]) -> Iterator[Core]:
    """The core for one exec, with the credentials of whoever calls. Nothing of it outlives the exec."""
    from dataclasses import replace

    from confsync.cli.session import reading
    from confsync.environments.execution.execution import for_one_command

    with reading(options, ledger_needed=False) as session:
        own = replace(session, loaded=for_one_command(session.loaded))
        with own.core((order.environment,), personal=True, fetching=True, notify=notify) as core:
            yield core
