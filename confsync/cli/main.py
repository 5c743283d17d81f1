"""The `confsync` command: finds the subcommand, imports only that, turns errors into a line and an exit status."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Any, NoReturn

import click

from confsync import __version__
from confsync.cli import interrupts
from confsync.cli.options import global_options, wants_no_color

COMMANDS = {
    "apply": ("apply", "Make every target agree with its source, once."),
    "plan": ("plan", "Show what apply would change, and why; change nothing."),
    "run": ("run", "Keep every target in agreement, for ever: the daemon."),
    "status": ("status", "Show how every sync stands."),
    "diff": ("diff", "Show how environments differ."),
    "env": ("env", "Print or write the variables an environment comes down to."),
    "exec": ("exec", "Run a command with an environment's values."),
    "explain": ("explain", "Show where a target's content comes from, or where a key goes."),
    "get": ("look", "Print the value of one key."),
    "ls": ("look", "List the keys of a source."),
    "check": ("author", "Validate the configuration and its templates."),
    "docs": ("docs", "Print what is said of keys, as a table for a wiki."),
    "schema": ("author", "Print the configuration's JSON Schema."),
    "init": ("init", "Write a configuration that works, to start from."),
    "demo": ("demo", "Watch confsync work, in a scratch directory, without any server."),
    "completion": ("author", "Print the completion script of a shell."),
}
"""Command -> (module under confsync.cli, one-line help). The help stands here so that --help imports nothing else."""

EXIT_FAILED = 1
EXIT_INVALID = 3
_NO_THREAD = "can't start new thread"  # Python's words; it has no class for it


class _Commands(click.Group):
    """A group that imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click calls it
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"confsync.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        interrupts.unwind()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from confsync.text import did_you_mean

            ctx.fail(f"there is no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click calls it
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as exc:
            raise click.Abort from exc  # as click would do, but it prints an empty line before
        except click.UsageError as exc:
            name = ctx.invoked_subcommand
            if exc.ctx is None and name is not None and (command := self.get_command(ctx, name)) is not None:
                # click does not say which command an option that lacks its argument was given to.
                exc.ctx = click.Context(command, parent=ctx, info_name=name)
            raise

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        kwargs["standalone_mode"] = False
        _write_whole()
        _write_any_text()
        try:
            status = super().main(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()
        except Exception as exc:  # noqa: BLE001 - sorted out there
            status = interrupts.STATUS if interrupts.came() else _status_of(exc)
        interrupts.end_at_once()
        if interrupts.came():
            interrupts.say()
            status = interrupts.STATUS
        sys.exit(status if isinstance(status, int) else 0)


def _write_whole() -> None:
    """Have stdout write all it is given under PYTHONUNBUFFERED too: Python forgets there what a pipe does not take."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and isinstance(out.buffer, io.RawIOBase):
        # Not detached: by the one it began with Python tells how wide the terminal is.
        writer = io.BufferedWriter(io.FileIO(out.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(writer, out.encoding, out.errors, line_buffering=True)


def _write_any_text() -> None:
    """Have stdout take any text where the locale is of few characters: values are not made others, and are no bug."""
    out = sys.stdout
    if not isinstance(out, io.TextIOWrapper) or out.encoding.lower().startswith("utf"):
        return
    if out.isatty():
        out.reconfigure(errors="backslashreplace")
    else:
        out.reconfigure(encoding="utf-8")


def _status_of(error: Exception) -> int:
    from confsync.errors import ConfigError, ConfsyncError

    if isinstance(error, click.Abort):
        interrupts.say()
        return interrupts.STATUS
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return EXIT_INVALID
    if isinstance(error, click.UsageError):
        _complain(_of_the_call(error))
        return EXIT_INVALID
    if isinstance(error, click.ClickException):
        _complain(error.format_message())
        return EXIT_INVALID
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        _complain("no thread can be started: this user, or this container, has too many (see ulimit -u)")
        return EXIT_FAILED
    if isinstance(error, OSError):
        lost = _is_stdout_lost() or isinstance(error, BlockingIOError)
        if not isinstance(error, BrokenPipeError):  # `| head` has what it wanted
            where = error.filename or ("standard output" if lost else "")
            _complain(f"{where}: {error.strerror}" if where else str(error.strerror))
        return EXIT_FAILED
    if isinstance(error, ConfsyncError):
        for line in str(error).splitlines():
            _complain(line)
        return EXIT_INVALID if isinstance(error, ConfigError) else EXIT_FAILED
    from confsync.logs import trace_of

    click.echo(trace_of(error), err=True)
    click.echo("confsync: this is a bug: please report it with the lines above", err=True)
    return EXIT_FAILED


def _is_stdout_lost() -> bool:
    """Whether stdout does not take what was printed; then it is let go of, or Python would complain again at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _complain(line: str) -> None:
    from confsync.text import printable

    # There is no context any more that would know of colours.
    color = False if wants_no_color() else None
    click.echo(f"{click.style('confsync:', fg='red')} {printable(line)}", err=True, color=color)


def _of_the_call(error: click.UsageError) -> str:
    """What is wrong with the words of the call, and where the right ones stand: in one line."""
    _name_variable(error)
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message[:1].lower() + message[1:]
    if error.ctx is None:
        return message
    path = error.ctx.command_path
    command = path.rpartition("confsync")[2].strip()
    return f"{command}: {message} (see {path} --help)" if command else f"{message} (see {path} --help)"


def _name_variable(error: click.UsageError) -> None:
    """Of a value that came by a variable of the environment, have it say the variable and not the option."""
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return
    if error.ctx.get_parameter_source(error.param.name or "") is click.core.ParameterSource.ENVIRONMENT:
        error.param_hint = f"${error.param.envvar}"


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with: confsync demo, then: confsync init.  Exit status: 0 all agrees, 1 something failed, "
    "2 there are changes or differences (plan, diff, status), 3 the configuration or the call is invalid.",
)
@click.version_option(__version__, prog_name="confsync")
@global_options
def cli() -> None:
    """Keep files, Kubernetes Secrets and ConfigMaps, and environments in agreement with the values in etcd, Vault and
    their like.

    confsync reads keys from the sources in its configuration, renders templates, and writes files whole or not at all;
    it checks before, reloads after, heals what others change, and can say of every line where it came from. It shows
    how environments differ, and gives a process on a laptop what one of them comes down to.
    """
