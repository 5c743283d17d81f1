"""The environment variables one environment stands for: which keys, under which names, with which values.

`api/url` is API_URL, `db#password` DB_PASSWORD; `keys: {api/url: {variable: BACKEND}}` calls it otherwise. The
variables of a sync with a data map have the names that map gives them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from confsync.environments.policy import Policy
from confsync.reconcile.core import Core

_SEPARATORS = re.compile(r"[^A-Za-z0-9_]")
_NAMEABLE = re.compile(r"[A-Za-z0-9_/.#: -]+")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which keys are wanted; with nothing given, all.

    Attributes:
        prefixes: `[SOURCE:]PREFIX`, any of which.
        globs: `[SOURCE:]GLOB`, any of which.
        syncs: the variables of these instead, by the names of their data maps, or the keys their templates read.
        documented: only keys that the configuration's `keys` says something of.
    """

    prefixes: Sequence[str] = ()
    globs: Sequence[str] = ()
    syncs: Sequence[str] = ()
    documented: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        key: where it comes from, `source:path`; or the sync's data map entry that made it.
        sensitive: whether the value is a secret.
        rule: the rule that put a substitute in place of the real value, or "".
    """

    name: str
    value: str = field(repr=False)
    key: str
    sensitive: bool
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A key that does not come down, and why."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What an environment comes down to.

    Attributes:
        variables: sorted by name.
        held_back: by the policy; `why` is the rule.
        denied: by the store, to whoever asks.
        unfetched: what is made anew for each who fetches it.
    """

    variables: tuple[Variable, ...]
    held_back: tuple[Withheld, ...] = ()
    denied: tuple[Withheld, ...] = ()
    unfetched: tuple[Withheld, ...] = ()


def collect(
    core: Core, environment: str | None, policy: Policy, selection: Selection | None = None
) -> Collected:
    """Read what is wanted of `environment`.

    Raises:
        ConfsyncError: a source cannot be asked; or, a line for each, keys whose names or values no variable can have,
            two keys for one name, required keys that are missing or denied, values that are not of their type.
    """
    raise NotImplementedError
