"""Which variables of the process hold credentials for the sources of a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from confsync.config.loading import LoadedConfig
from confsync.source.registry import load_backend


def credentials_of(loaded: LoadedConfig) -> frozenset[str]:
    """The variables that hold credentials for the sources: those of the stores' own tools, those the options name."""
    sources = loaded.config.sources.values()
    usual = {name for source in sources for name in load_backend(source.backend).credentials}
    return frozenset(usual.union(*(_variables_in(source.options) for source in sources)))


def _variables_in(options: object) -> Iterator[str]:
    """What stands under `env`, `password_env` and their like: by this name every driver takes a variable's."""
    if not isinstance(options, Mapping):
        return
    for name, value in options.items():
        if isinstance(value, str) and (name == "env" or str(name).endswith("_env")):
            yield value
        yield from _variables_in(value)
