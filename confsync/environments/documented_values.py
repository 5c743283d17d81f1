"""Whether environments have what is said of them under `keys`, read by a sync or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from confsync.address import parse
from confsync.config.loading import LoadedConfig
from confsync.config.patterns import Pattern, parse_pattern
from confsync.environments.listing import fields
from confsync.errors import Denied, MissingKey, SourceError
from confsync.reconcile.core import Core
from confsync.snapshot import View
from confsync.source.documentation import Required
from confsync.source.source import Source

_WILD = re.compile(r"[*?\[#]")


@dataclass(frozen=True, slots=True)
class Findings:
    """What is not as it has to be in one environment.

    Attributes:
        problems: keys that are missing or cannot be read, values that are not what they have to be; a line for each,
            with nothing of any value.
        unseen: what nobody could look at.
    """

    problems: tuple[str, ...]
    unseen: tuple[str, ...]


def environments_of(loaded: LoadedConfig, chosen: str | None) -> list[str | None]:
    """The environments in use, and those that `required` is for: all of them, where it is for every one.

    Args:
        chosen: overrides `defaults.environment`, or None.
    """
    named: set[str | None] = set()
    for key in loaded.config.keys.values():
        if isinstance(key.required, list):
            named.update(key.required)
        elif key.required:
            named.update(loaded.config.environments)
    return sorted(used_of(loaded, chosen) | named, key=str)


def used_of(loaded: LoadedConfig, chosen: str | None) -> set[str | None]:
    """The environments in use: those of the syncs, and the default."""
    default = chosen or loaded.config.defaults.environment
    return {sync.environment or default for sync in loaded.config.syncs.values()} | {default}


def wrong_patterns(core: Core) -> Iterator[str]:
    """A line for each entry of `keys` that can name nothing in any environment: what it says is heeded nowhere."""
    loaded = core.loaded
    for text in loaded.config.keys:
        pattern = parse_pattern(text, loaded.config.sources)
        sources = [source for source in core.hub.sources if core.hub.may_have(source, pattern)]
        why = _why_no_secret(pattern)
        if why is not None and not any(isinstance(core.hub.sources[source], Source) for source in sources):
            yield f"{loaded.where(('keys', text), of_key=True)}: {text!r} names no key of a secret: {why}"


def _why_no_secret(pattern: Pattern) -> str | None:
    """Why no source that is asked for one secret at a time has what a pattern names; None where one may."""
    if pattern.wild:
        wrong = pattern.glob.endswith("#")
        return "after # the name of a field is missing: #* is every field" if wrong else None
    try:
        parse(pattern.key)
    except ValueError as exc:
        return str(exc)
    return None


def look(core: Core, environment: str | None, *, used: bool = True) -> Findings:
    """Read every documented key of an environment, which `core` was opened for, and was read.

    Nothing is fetched that fetching makes.

    Args:
        used: whether the environment is in use here; of another it is no problem that its keys are denied to us.
    """
    looking = _Looking(core, environment, used)
    looking.at_required()
    for source in core.hub.sources:
        looking.at_values(source)
    return Findings((*looking.unreadable(), *looking.problems), tuple(looking.unseen))


@dataclass(slots=True)
class _Looking:
    """One look at one environment."""

    core: Core
    environment: str | None
    used: bool
    problems: dict[str, None] = field(default_factory=dict)
    unseen: dict[str, None] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    unanswered: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)

    def unreadable(self) -> Iterator[str]:
        """A line for each reason for which a source gave no answer, however many keys it was asked for."""
        for (source, why), asked in self.unanswered.items():
            yield f"{next(iter(asked)) if len(asked) == 1 else source} cannot be read: {why}"

    def view(self, source: str) -> View:
        """One view of a source, so that each secret is asked for once."""
        if source not in self.views:
            self.views[source] = self.core.hub.view(source, self.environment, looking=True)
        return self.views[source]

    def at_required(self) -> None:
        """The keys it has to have: one source of those that may have it has to."""
        for required in self.core.documentation(self.environment).required():
            missing, denied = self._missing(required)
            if missing is not None:
                told = self.unseen if denied and not self.used else self.problems
                told[missing] = None

    def _missing(self, required: Required) -> tuple[str | None, bool]:
        """What to say if it is missing, and whether it may only be denied to us."""
        told = []
        denied = False
        for source, path in required.places:
            try:
                found = self.view(source).find(path)
                if found is not None:
                    return None, False
                absent = self.view(source).absent(path)
            except Denied as exc:
                denied = True
                told.append(f"{source}:{path} is required, and cannot be read: {exc}")
                continue
            except SourceError as exc:
                self._cannot_read(source, f"{source}:{path}", exc)
                return None, False  # it may be there
            missing = MissingKey(source, path, "", absent.nearest, absent.detail)
            told.append(str(missing.documented(required=True, ask=required.key.ask)))
        return "; ".join(told), denied

    def at_values(self, source: str) -> None:
        """The values of a source that something is said of."""
        checked = list(self._checked(source))
        paths = self._paths(source, checked) if checked else ()
        for path in paths:
            problem = self._problem(source, path)
            if problem is not None:
                self.problems[problem] = None

    def _checked(self, source: str) -> Iterator[Pattern]:
        """What the entries are for that say what a value has to be."""
        config = self.core.loaded.config
        documentation = self.core.documentation(self.environment)
        for text, key in config.keys.items():
            pattern = parse_pattern(text, config.sources)
            if (key.type is not None or key.one_of is not None) and documentation.may_have(source, pattern):
                yield pattern

    def _problem(self, source: str, path: str) -> str | None:
        try:
            found = self.view(source).find(path)
        except SourceError as exc:
            self._cannot_read(source, f"{source}:{path}", exc)
            return None
        if found is None or not found.fetched:
            return None
        return self.core.documentation(self.environment).problem(source, path, found.entry.value)

    def _paths(self, source: str, checked: list[Pattern]) -> Iterator[str]:
        """The keys to look at: of a source that is read as a whole all of them, else those that are named."""
        view = self.view(source)
        if not view.by_request:
            try:
                yield from view.paths()
            except SourceError as exc:
                self._cannot_read(source, source, exc)
            return
        for path in dict.fromkeys(pattern.key for pattern in checked if not pattern.wild):
            yield from [path] if "#" in path else self._fields(source, path)
        for pattern in checked:
            if pattern.wild:
                yield from self._named(source, pattern)

    def _fields(self, source: str, secret: str) -> list[str]:
        try:
            return fields(self.view(source), secret)
        except SourceError as exc:
            self._cannot_read(source, f"{source}:{secret}", exc)
            return []

    def _named(self, source: str, pattern: Pattern) -> Iterator[str]:
        """The fields of the secrets that a glob may name, as far as they are listed to us."""
        may_name = self.core.hub.matcher(source, [pattern.glob], self.environment, in_doubt=True)
        try:
            secrets = self.view(source).below(_folder(pattern.glob))
        except SourceError as exc:
            self._cannot_read(source, f"what {pattern.glob!r} names in {source}", exc)
            return
        for secret in filter(may_name, secrets):
            yield from self._fields(source, secret)

    def _cannot_read(self, source: str, what: str, why: SourceError) -> None:
        """What is denied may be none of this configuration's business; whether it is right is not known."""
        if isinstance(why, Denied):
            self.unseen[f"{what} cannot be read: {why}"] = None
        else:
            self.unanswered.setdefault((source, str(why)), {})[what] = None


def _folder(glob: str) -> str:
    """The folder that all a glob names is in."""
    folder, slash, _ = _WILD.split(glob, maxsplit=1)[0].rpartition("/")
    return folder or slash
