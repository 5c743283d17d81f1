"""`confsync run`."""

from __future__ import annotations

import click

from confsync.cli.options import given, global_options


@click.command(short_help="Keep every target in agreement, for ever: the daemon.")
@click.option(
    "--allow-mass-delete",
    is_flag=True,
    help="Believe that many keys or targets are really to go, once at the start.",
)
@click.option("--shutdown-timeout", default="30s", metavar="DURATION", show_default=True,
              help="How long work under way may take to end after SIGTERM.")  # fmt: skip
@global_options
@click.pass_context
def run(context: click.Context, allow_mass_delete: bool, shutdown_timeout: str) -> int:
    """Keep every target in agreement, for ever: the daemon.

    A change in a source reaches its files at once; a file changed by someone else is put right at once; every interval
    everything is looked at again. Nothing that fails ends the daemon: it is retried with back-off, and shows in
    `confsync status` and the log.

    \b
    SIGHUP   reload the configuration and look at everything
    SIGTERM  finish what is under way and end; a second one ends at once
    SIGUSR1  write how everything stands to the log

    Exit status: 0 after SIGTERM, 1 when work had to be abandoned, 3 the configuration is invalid.
    """
    from confsync.cli.garbage import look_as_usual
    from confsync.cli.session import setup_logs, writing
    from confsync.daemon import memory
    from confsync.daemon.daemon import Daemon, Settings
    from confsync.daemon.signals import Signals
    from confsync.units import parse_duration

    options = given(context)
    setup_logs(options, level="info")
    try:
        deadline = parse_duration(shutdown_timeout)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--shutdown-timeout") from exc
    look_as_usual()
    memory.give_back()
    signals = Signals()
    signals.install()
    with writing(options, "run") as session:
        settings = Settings(
            session.loaded.path,
            options.environment,
            session.bytecode,
            deadline,
            allow_mass_delete,
            session.unclean,
        )
        return Daemon(settings, session.ledger).run(signals)
