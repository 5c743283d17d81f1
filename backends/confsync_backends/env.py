"""The process's own environment as a source: what the platform, a unit file or a shell has put there.

With `prefix: SHOP_` the variable SHOP_DATABASE_HOST is the key `database/host`. Where names of several words
are needed, `separator: "__"` makes SHOP_DATABASE__MAX_CONNECTIONS the key `database/max_connections`. The
environment of a process does not change from outside, so there is nothing to watch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from confsync.driver import Backend, DriverOptions, Entry, Reading, Tree
from confsync.errors import Invalid


class EnvOptions(DriverOptions):
    """Options of an environment source."""

    prefix: Annotated[
        str,
        Field(
            description="Only variables that begin with it are read, such as SHOP_; it is no part of the key."
        ),
    ] = ""
    separator: Annotated[
        str,
        Field(
            min_length=1, description='What stands for the slash of a key: "_", or "__" to keep single ones.'
        ),
    ] = "_"

    _withheld: frozenset[str] = frozenset()

    @property
    def withheld(self) -> frozenset[str]:
        """The names of variables that are not read: they hold the credentials of whoever calls."""
        return self._withheld

    def withholding(self, variables: frozenset[str]) -> Self:
        """The same without these."""
        made = self.model_copy()
        made._withheld = variables  # noqa: SLF001 - its own class
        return made


class EnvBackend(Backend):
    """Environment variables. Keys are in lower case; values are the bytes the variable holds."""

    Options = EnvOptions
    watches = False

    def __init__(self, options: EnvOptions) -> None:
        self._prefix = os.fsencode(options.prefix)
        self._separator = options.separator
        self._withheld = {os.fsencode(name) for name in options.withheld}

    @classmethod
    def open(cls, options: EnvOptions, base: Path) -> EnvBackend:  # noqa: ARG003 - no paths
        return cls(options)

    @classmethod
    def withholding(cls, options: EnvOptions, variables: frozenset[str]) -> EnvOptions:
        return options.withholding(variables)

    @property
    def address(self) -> str:
        return f"environment variables {os.fsdecode(self._prefix)}*"

    def read(self, prefixes: Sequence[str]) -> Reading:
        """See `Backend.read`.

        Raises:
            Invalid: two variables have the same key under one of the prefixes; names both.
        """
        variables = sorted(self._variables())
        return Reading(0, {prefix: self._tree(variables, prefix) for prefix in prefixes})

    def close(self) -> None:
        """Nothing is held."""

    def _variables(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Key, name and value. `_` and its like have no key."""
        for name, value in os.environb.items():
            if name.startswith(self._prefix) and name not in self._withheld:
                key = self._key(os.fsdecode(name[len(self._prefix) :]))
                if key:
                    yield key, name, value

    def _key(self, name: str) -> str:
        return name.lower().replace(self._separator.lower(), "/").strip("/")

    def _tree(self, variables: Sequence[tuple[str, bytes, bytes]], prefix: str) -> Tree:
        clean = prefix.strip("/")
        start = f"{clean}/" if clean else ""
        tree: dict[str, Entry] = {}
        before = ("", b"")
        for key, name, value in variables:  # in order of key: those that share one are neighbours
            if not key.startswith(start):
                continue
            if before[0] == key:
                raise _same_key(key, before[1], name)
            before = (key, name)
            tree[key[len(start) :]] = Entry(value, 0)
        return tree


def _same_key(key: str, one: bytes, other: bytes) -> Invalid:
    return Invalid(
        f"the environment variables {os.fsdecode(one)} and {os.fsdecode(other)} both mean the key {key!r}",
        key=key,
        hint='unset one, set prefix to exclude it, or use separator: "__"',
    )
