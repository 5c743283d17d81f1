"""What a command gets of an environment: variables, and the files of syncs; made at its start and when they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from confsync.environments.execution.scratch import File
from confsync.environments.policy import Policy
from confsync.environments.variables import Collected, Variable, collect
from confsync.environments.variables.selection import Selection
from confsync.errors import ConfsyncError, SourceError
from confsync.reads import Reads
from confsync.reconcile.core import Core
from confsync.render.formats.names import VARIABLE


@dataclass(frozen=True, slots=True)
class Provision:
    """What a command gets. Two are equal where it would see no difference.

    Attributes:
        variables: name -> value.
        files: those of the syncs.
        collected: where the variables come from, and what did not come down.
        reads: what the syncs read.
    """

    variables: Mapping[str, str] = field(repr=False)
    files: tuple[File, ...]
    collected: Collected = field(compare=False, repr=False)
    reads: tuple[Reads, ...] = field(compare=False, repr=False)

    def paths(self, source: str) -> set[str]:
        """What of a source this was made of, spelled as it was asked for: every key, and where it was looked for."""
        found = set()
        for reads in self.reads:
            read = (*reads.keys, *reads.missed, *reads.listed, *reads.unkept)
            found |= {one.path for one in read if one.source == source}
        collected = self.collected
        keys = [one.key for one in collected.variables]
        keys += [one.key for one in (*collected.denied, *collected.unfetched)]
        for key in keys:
            name, _, path = key.partition(":")
            if name == source:
                found |= {path, *_above(path)}
        return found


def _values(collected: Collected) -> dict[str, str]:
    return {one.name: one.value for one in collected.variables}


def _above(path: str) -> set[str]:
    """The secret of a field, and the directories it lies in: what was looked at to find it."""
    secret = path.partition("#")[0]
    parts = secret.split("/")
    return {secret, *("/".join(parts[:depth]) for depth in range(len(parts)))}


@dataclass(frozen=True, slots=True)
class Changes:
    """What is another in one provision than in another: names."""

    variables: tuple[str, ...]
    files: tuple[str, ...]

    @classmethod
    def between(cls, old: Provision, new: Provision) -> Changes:
        """What differs."""
        names = old.variables.keys() | new.variables.keys()
        before = {file.path: file for file in old.files}
        after = {file.path: file for file in new.files}
        return cls(
            tuple(sorted(one for one in names if old.variables.get(one) != new.variables.get(one))),
            tuple(sorted(one for one in before | after if before.get(one) != after.get(one))),
        )

    def facts(self) -> dict[str, str]:
        """For the log."""
        named = {"variables": ", ".join(self.variables), "files": ", ".join(self.files)}
        return {name: text for name, text in named.items() if text}


@dataclass(frozen=True, slots=True)
class Provider:
    """Makes provisions of one environment. Thread-safe as far as its core is.

    Attributes:
        selection: which keys are to be variables; None for no others than those of the syncs.
        syncs: the files of these, and the variables of their data maps.
    """

    core: Core
    policy: Policy
    environment: str
    selection: Selection | None
    syncs: Sequence[str]

    def provide(self) -> Provision:
        """Read, render and put together what the command gets.

        Raises:
            ConfsyncError: as `collect` and `files_of`.
        """
        collected = self._selected()
        self._read_others()
        if not self.syncs:
            return Provision(_values(collected), (), collected, ())
        from confsync.environments.execution.sync_files import files_of  # which imports Jinja

        rendered = files_of(self.core, self.policy, self.syncs)
        held_back = tuple(dict.fromkeys((*collected.held_back, *rendered.held_back)))
        variables = {one.name: one for one in collected.variables} | self._named_by_maps()
        collected = replace(collected, variables=tuple(variables.values()), held_back=held_back)
        return Provision(_values(collected), rendered.files, collected, rendered.reads)

    def _selected(self) -> Collected:
        if self.selection is None:
            return Collected(())
        return collect(self.core, self.environment, self.policy, self.selection)

    def _named_by_maps(self) -> dict[str, Variable]:
        """The variables of the syncs' data maps, by the names these give them.

        Raises:
            ConfsyncError: two maps have another value for one name.
        """
        variables: dict[str, Variable] = {}
        for sync in filter(self._names_variables, dict.fromkeys(self.syncs)):
            selection = Selection(syncs=[sync])
            for one in collect(self.core, self.environment, self.policy, selection, fetching=True).variables:
                other = variables.setdefault(one.name, one)
                if other.value != one.value:
                    raise ConfsyncError(
                        f"{other.key} and {one.key} have different values for the variable {one.name}",
                        hint="run the command with one of these syncs",
                    )
        return variables

    def _read_others(self) -> None:
        """Read the sources no variable may come from; whether one is needed and cannot be read, a render tells."""
        for source in self.core.hub.sources.values() if self.syncs else ():
            if not source.answered:
                with suppress(SourceError):
                    source.refresh()

    def _names_variables(self, sync: str) -> bool:
        """Whether a sync's data map is one of variables: not of files, not one for each of several items."""
        spec = self.core.loaded.config.syncs[sync]
        return spec.for_each is None and bool(spec.data) and all(map(VARIABLE.fullmatch, spec.data or ()))
