"""The environment variables an environment comes down to: which keys, under which names, with which values."""

from __future__ import annotations

from dataclasses import dataclass, field

from confsync.environments.policy import Policy
from confsync.environments.variables.selection import Selection
from confsync.reconcile.core import Core


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        key: where it comes from: `source:path`, or the entry of a sync's data map.
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
    """A key that does not come down, and why.

    Attributes:
        place: where the rule that says so is written, `confsync.yaml:12:5`, or "".
    """

    key: str
    why: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """What an environment comes down to.

    Attributes:
        variables: sorted by name.
        held_back: by the policy; `why` is the rule.
        denied: by the store, to whoever asks.
        unfetched: what is made anew for each who fetches it.
        idle: the rules of `local`, and where they are written, that name nothing, where all keys were looked at.
    """

    variables: tuple[Variable, ...]
    held_back: tuple[Withheld, ...] = ()
    denied: tuple[Withheld, ...] = ()
    unfetched: tuple[Withheld, ...] = ()
    idle: tuple[str, ...] = ()


def collect(
    core: Core,
    environment: str | None,
    policy: Policy,
    selection: Selection | None = None,
    *,
    fetching: bool = False,
) -> Collected:
    """Read what is wanted of `environment`.

    Args:
        fetching: whether for syncs may be made what is made when it is fetched.

    Raises:
        ConfigError: there is no such sync, or a pattern names a source there is not.
        ConfsyncError: a source cannot be asked, or gives nothing at all to whoever asks; or, a line for each: keys
            whose names or values no variable can have, two keys for one name, required keys that are missing or
            denied, values that are not of their type.
    """
    from confsync.environments.variables.gathering import Gathering
    from confsync.environments.variables.source_variables import gather_sources

    gathering = Gathering(core, environment, policy, selection or Selection())
    if gathering.selection.syncs:
        from confsync.environments.variables.sync_variables import gather_syncs  # which imports Jinja

        gather_syncs(gathering, fetching=fetching)
    else:
        gather_sources(gathering)
    return gathering.collected()
