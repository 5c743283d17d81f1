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
        output: text or json, of results on stdout.
        log_format: text or json, of the log on stderr.
        log_level: the least important level logged.
        state_dir: where the ledger lives, or `memory`.
    """

    config: str | None = None
    environment: str | None = None
    output: str | None = None
    log_format: str | None = None
    log_level: str | None = None
    state_dir: str | None = None

    @property
    def as_json(self) -> bool:
        """Whether results are JSON."""
        return self.output == "json"


_GLOBAL = (
    click.option(
        "-c", "--config", metavar="FILE", expose_value=False, callback=lambda c, p, v: _keep(c, config=v), type=click.Path(),
        help="Configuration file.  [default: $CONFSYNC_CONFIG, ./confsync.yaml, /etc/confsync/confsync.yaml]",
    ),
    click.option(
        "-e", "--environment", metavar="ENV", expose_value=False, callback=lambda c, p, v: _keep(c, environment=v),
        shell_complete=lambda c, p, i: complete_environments(c, i),
        help="Environment to read where a sync names none.  [default: defaults.environment]",
    ),
    click.option(
        "--output", type=click.Choice(["text", "json"]), expose_value=False, callback=lambda c, p, v: _keep(c, output=v),
        help="How results are printed.  [default: text]",
    ),
    click.option(
        "--log-format", type=click.Choice(["text", "json"]), expose_value=False, callback=lambda c, p, v: _keep(c, log_format=v),
        help="How the log on stderr is written.  [default: text]",
    ),
    click.option(
        "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), expose_value=False,
        callback=lambda c, p, v: _keep(c, log_level=v), help="Least important level that is logged.  [default: info in run, else warning]",
    ),
    click.option(
        "--state-dir", metavar="DIR", expose_value=False, callback=lambda c, p, v: _keep(c, state_dir=v), type=click.Path(),
        help="Where the ledger lives, or 'memory' to keep nothing.  [default: by configuration, under /var/lib/confsync or ~/.local/state/confsync]",
    ),
)  # fmt: skip


def _keep(context: click.Context, **given: Any) -> None:
    """Remember an option wherever it was written; what is written last, and given at all, wins."""
    root = context.find_root()
    given = {name: value for name, value in given.items() if value is not None}
    root.obj = replace(root.obj or Options(), **given)


def global_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command (or the group) the global options."""
    return functools.reduce(lambda function, option: option(function), reversed(_GLOBAL), command)


def given(context: click.Context) -> Options:
    """The global options of this call."""
    options: Options = context.find_root().obj or Options()
    if os.environ.get("NO_COLOR"):
        context.color = False
    return options


def complete_environments(context: click.Context, incomplete: str) -> list[str]:
    """Names of environments, for shells."""
    return _names(context, incomplete, "environments")


def complete_syncs(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of syncs, for shells."""
    return _names(context, incomplete, "syncs")


def _names(context: click.Context, incomplete: str, section: str) -> list[str]:
    from confsync.config.loading import find_config, load_config
    from confsync.errors import ConfsyncError

    try:
        loaded = load_config(find_config(given(context).config))
    except ConfsyncError:
        return []
    return [name for name in getattr(loaded.config, section) if name.startswith(incomplete)]
