"""Options every command takes, before or after its name, and what follows from them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Options:
    """The global options; None where not given.

    Attributes:
        config: the configuration file.
        environment: the environment to read instead of `defaults.environment`.
        output: text, json or (of some commands) markdown, of results on stdout.
        log_format: text or json, of the log on stderr.
        log_level: the least important level logged.
        state_dir: where the ledger lives, or `memory`.
        credentials: personal or configured, of commands that are for persons.
    """

    config: str | None = None
    environment: str | None = None
    output: str | None = None
    log_format: str | None = None
    log_level: str | None = None
    state_dir: str | None = None
    credentials: str | None = None

    @property
    def configured_credentials(self) -> bool:
        """Whether a command that is for persons is to log in as the configuration says all the same."""
        return self.credentials == "configured"

    @property
    def as_json(self) -> bool:
        """Whether results are JSON."""
        return self.output == "json"

    @property
    def as_markdown(self) -> bool:
        """Whether results are Markdown."""
        return self.output == "markdown"


def given(context: click.Context, *, markdown: bool = False) -> Options:
    """The global options of this call.

    Args:
        markdown: whether the command has a form in Markdown.

    Raises:
        click.UsageError: Markdown is wanted of one that has none.
    """
    options = _so_far(context)
    if options.as_markdown and not markdown:
        raise click.UsageError(
            f"{context.info_name} has no output in markdown; it has text and json", context
        )
    if wants_no_color():
        context.color = False
    return options


def wants_no_color() -> bool:
    """Whether nothing is to be coloured, not even on a terminal: NO_COLOR is set, or the terminal has no colours."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def _so_far(context: click.Context) -> Options:
    options: Options = context.find_root().obj or Options()
    return options


def complete_environments(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of environments, for shells."""
    return _names(context, incomplete, "environments")


def complete_syncs(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of syncs, for shells."""
    return _names(context, incomplete, "syncs")


def _names(context: click.Context, incomplete: str, section: str) -> list[str]:
    from confsync.config.loading import find_config, load_config
    from confsync.errors import ConfsyncError

    try:
        loaded = load_config(find_config(_so_far(context).config))
    except ConfsyncError:
        return []
    return [name for name in getattr(loaded.config, section) if name.startswith(incomplete)]


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep an option wherever it was written; what is written last, and given at all, wins."""
    root = context.find_root()
    options = root.obj or Options()
    root.obj = options if value is None else replace(options, **{str(parameter.name): value})


_option = functools.partial(click.option, expose_value=False, callback=_remember)
_GLOBAL = (
    _option(
        "-c",
        "--config",
        metavar="FILE",
        type=click.Path(),
        help="Configuration file.  [default: $CONFSYNC_CONFIG, ./confsync.yaml, /etc/confsync/confsync.yaml]",
    ),
    _option(
        "-e",
        "--environment",
        metavar="ENV",
        shell_complete=complete_environments,
        help="Environment to read where a sync names none.  [default: defaults.environment]",
    ),
    _option(
        "--output",
        type=click.Choice(["text", "json", "markdown"]),
        help="How results are printed; markdown of diff and docs only.  [default: text]",
    ),
    _option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        help="How the log on stderr is written.  [default: text]",
    ),
    _option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Least important level that is logged.  [default: info in run, else warning]",
    ),
    _option(
        "--state-dir",
        metavar="DIR",
        type=click.Path(),
        help="Where the ledger lives, or 'memory' to keep nothing.  "
        "[default: by configuration, under /var/lib/confsync or ~/.local/state/confsync]",
    ),
)


credentials_option = _option(
    "--credentials",
    type=click.Choice(["personal", "configured"]),
    envvar="CONFSYNC_CREDENTIALS",
    help="Whose logins: what vault and etcdctl would use here (~/.vault-token, VAULT_*, ETCDCTL_*), or those "
    "configured. Where you have none, those configured.  [default: $CONFSYNC_CREDENTIALS, personal]",
)
"""For commands that a person runs with a configuration made for machines."""


def global_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command (or the group) the global options."""
    return functools.reduce(lambda function, option: option(function), reversed(_GLOBAL), command)
