"""The variables of keys and of syncs in one: what is selected of an environment, and what syncs need besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from confsync.environments.policy import Policy
from confsync.environments.variables import Collected, Withheld, collect
from confsync.environments.variables.selection import Selection
from confsync.reconcile.core import Core


def collect_joined(core: Core, environment: str, policy: Policy, selection: Selection) -> Collected:
    """As `collect`, of a selection that may name keys and syncs; where both have a name, the sync says its value.

    Raises:
        ConfigError, ConfsyncError: as `collect`.
    """
    keys = replace(selection, syncs=())
    if not selection.syncs or not (keys.prefixes or keys.globs or keys.documented):
        return collect(core, environment, policy, selection)
    syncs = replace(selection, prefixes=(), globs=(), documented=False)
    return _join(
        collect(core, environment, policy, keys),
        collect(core, environment, policy, syncs),
    )


def _join(keys: Collected, syncs: Collected) -> Collected:
    by_name = {one.name: one for one in (*keys.variables, *syncs.variables)}
    return replace(
        keys,
        variables=tuple(by_name[name] for name in sorted(by_name)),
        held_back=_once(keys.held_back, syncs.held_back),
        denied=_once(keys.denied, syncs.denied),
        unfetched=_once(keys.unfetched, syncs.unfetched),
    )


def _once(one: Sequence[Withheld], other: Sequence[Withheld]) -> tuple[Withheld, ...]:
    return tuple(dict.fromkeys((*one, *other)))
