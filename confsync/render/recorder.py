"""What one sync's render reads, misses and lists, as it happens."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus

from confsync.digest import Hasher
from confsync.driver import Entry
from confsync.errors import RenderError
from confsync.reads import KeyRead, PathRead, Reads
from confsync.redact import Secrets
from confsync.render import budget
from confsync.render.bad_keys import BadKeys
from confsync.render.position import template_position
from confsync.render.source_view import SourceView
from confsync.snapshot import Found

_active = threading.local()
_MOST_DERIVED = 8 * 1024**2


@dataclass(slots=True, repr=False)
class Recorder:
    """Belongs to one render in one thread.

    Attributes:
        bad_keys: what keeps the render from being used.
        secrets: the sensitive values read, and what was made of them, to keep them out of every message.
        suspects: what was decoded or cut from other things since then: it may have been made of them.
        sensitive: whether a sensitive value was read for the artifact being made; whoever makes several resets it.
        impure: whether something besides keys was asked for (time, DNS, the environment).
        derived: how many characters were decoded, cut or made of secrets; beyond 8 MiB they are not kept.
        encrypted: (source, key) -> the ciphertexts whose text is not known yet: the render must be done again.
        guessed: the same, found after something was not asked for since its path may depend on the others: what there
            is to decrypt may be another thing then.
        undecryptable: why some ciphertexts cannot be decrypted, from the render before.
        credentials: variables of the process that `env` does not give.
        unfetched: secrets that only a command which writes may fetch; what was rendered has placeholders for them.
    """

    found: dict[PathRead, Found] = field(default_factory=dict)
    missed: dict[PathRead, None] = field(default_factory=dict)
    listed: dict[PathRead, None] = field(default_factory=dict)
    bad_keys: BadKeys = field(default_factory=BadKeys)
    templates: dict[str, str] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    suspects: Secrets = field(default_factory=Secrets)
    sensitive: bool = False
    impure: bool = False
    derived: int = 0
    encrypted: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    guessed: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    guessing: bool = False
    undecryptable: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    credentials: frozenset[str] = frozenset()
    unfetched: list[str] = field(default_factory=list)

    def find(self, source: SourceView, path: str, where: str = "") -> Entry | None:
        """Look a key up, and remember it was looked up, by what is at `where`, or by the template that is running."""
        read = PathRead(source.name, path)
        found = source.view.find(path)
        if found is None:
            self.missed[read] = None
            self.bad_keys.require(source, path, where)
            return None
        self.found[read] = found
        if source.is_sensitive(path):
            self._note_secret(found.entry.value)
        if source.rules is not None:
            self.bad_keys.check(source, path, found, where)
        return found.entry

    def look_up(self, source: SourceView, path: str, where: str = "") -> tuple[Any, bool] | None:
        """Ask an addressed source for a secret or field, and remember it was asked for, as `find` does.

        Returns:
            The value as the store gave it, and whether it was fetched or is a placeholder; None: it is not there.
        """
        if self.encrypted:
            # The path may depend on them, so nothing is asked for. The render goes on to find the other ciphertexts,
            # and is done again.
            self.guessing = True
            return ("", False) if "#" in path else ({}, False)
        if self.bad_keys:
            source.view.only_look()  # nothing will be written: nothing is to be made for it
        read = PathRead(source.name, path)
        self.missed[read] = None  # also where asking fails: what was wanted is what the sync waits for
        source.view.withhold(self._may_give_away(path))
        with budget.waiting():
            found = source.view.look_up(path)
        if found is None:
            self.bad_keys.require(source, path, where)
            return None
        del self.missed[read]
        self.found[read], value = found
        if not found[0].fetched:
            self.unfetched.append(f"{source.name}:{path}")
        if source.is_sensitive(path):
            self.sensitive = True
            if not isinstance(
                value, Mapping
            ):  # of a whole secret the fields' names are none: errors propose them
                self._note_secret(found[0].entry.value)
            self.secrets.update(leaves_of(value))
        self.bad_keys.check_secret(source, path, found[0], value, where)
        return value, found[0].fetched

    def decrypt(self, source: SourceView, key: str, ciphertext: str) -> bytes:
        """What a ciphertext stands for; nothing, and a note to do the render again, while that is not known."""
        why = self.undecryptable.get((source.name, key, ciphertext))
        if why is not None:
            raise RenderError(f"{source.name}.decrypt({key!r}, …): {why}", where=template_position() or None)
        self.sensitive = True
        plain = source.view.decrypted(key, ciphertext)
        if plain is None:
            found = self.guessed if self.guessing else self.encrypted
            found.setdefault((source.name, key), {})[ciphertext] = None
            return b""
        self._note_secret(plain)
        return plain

    def list_names(self, source: SourceView, prefix: str) -> Sequence[str]:
        """The names one step below a path of an addressed source, and remember they were listed."""
        self.list(source, prefix)
        source.view.withhold(self._may_give_away(prefix))
        with budget.waiting():
            return source.view.under(prefix)

    def _note_secret(self, value: bytes) -> None:
        self.sensitive = True
        self.secrets.add(value)
        self.secrets.add(value.decode("utf-8", "surrogateescape"))

    def list(self, source: SourceView, prefix: str) -> None:
        """Remember that everything below `prefix` was listed."""
        self.listed[PathRead(source.name, prefix)] = None

    def require_below(self, source: SourceView, prefix: str, paths: Sequence[str], *, deep: bool) -> None:
        """What is below `prefix` was listed, which gave `paths`: the required keys that it lacks are missing.

        Args:
            deep: whether at any depth, not one step below only.
        """
        if source.rules is None:
            return
        depth = len(prefix) + 1 if prefix else 0
        wanted = {path for path in source.rules.required_below(prefix) if deep or "/" not in path[depth:]}
        for path in sorted(wanted.difference(paths)) if wanted else ():
            self.find(source, path)

    def reads(self, hasher: Hasher, now: float, before: Mapping[PathRead, KeyRead]) -> Reads:
        """Everything recorded, in the form that is kept.

        Args:
            before: the keys of the last render, to keep the time a revision was first seen.
        """
        keys = {
            read: _key_read(found, hasher, now, before.get(read))
            for read, found in sorted(self.found.items())
            if "?" not in read.path or not self._may_give_away(read.path)
        }
        # A name made of a secret must not be kept. Without it nobody can tell whether a render would give the same.
        missed = frozenset(read for read in self.missed if not self._may_give_away(read.path))
        listed = frozenset(read for read in self.listed if not self._may_give_away(read.path))
        templates = {name: digest for name, digest in self.templates.items() if not self._may_give_away(name)}
        all_kept = (len(keys), len(missed), len(listed), len(templates)) == (
            len(self.found),
            len(self.missed),
            len(self.listed),
            len(self.templates),
        )
        unkept = frozenset({*self.found, *self.missed} - keys.keys() - missed)
        return Reads(keys, missed, listed, templates, self.impure or not all_kept, unkept)

    def gives_away(self, text: str, template: str = "") -> bool:
        """Whether `text`, or what it is without %XX, shows a sensitive value; the shortest are in every text.

        Args:
            template: what `text` was made of; what stands there already is given away by nobody else.
        """
        return any(secret not in template for one in _decoded(text) for secret in self.secrets.within(one))

    def _may_give_away(self, name: str) -> bool:
        return self.gives_away(name) or any(map(self.suspects.are_in, _decoded(name)))

    def public(self, sources: Mapping[str, SourceView], *, values: bool) -> Iterator[str]:
        """The names of what was read, and where they are wanted the `values` that are no secrets."""
        for (source, path), found in self.found.items():
            yield path
            if values and not sources[source].is_sensitive(path):
                yield found.entry.value.decode("utf-8", "replace")

    def note_derived(self, value: object, *origins: object, opaque: bool = False) -> None:
        """`value` was made of `origins`: where there is a secret in them, every text in it is one.

        Args:
            opaque: whether it may be made of a secret though there is none to be seen in them.
        """
        if not self.secrets or any(value is origin for origin in origins):
            return
        leaves = [leaf for origin in origins for leaf in leaves_of(origin, names=True)]
        unseen = opaque or any(isinstance(origin, Iterator) for origin in origins)
        if any(map(self.secrets.are_in, leaves)):
            self._keep(self.secrets, value)
        elif unseen or any(map(self.suspects.are_in, leaves)):
            self._keep(self.suspects, value)

    def _keep(self, into: Secrets, value: object) -> None:
        for text in leaves_of(value):
            self.derived += len(text)
            if self.derived > _MOST_DERIVED:
                return  # a template that makes that much makes no names of it
            into.add(text)


def _decoded(text: str) -> set[str]:
    """`text`, and what it is where it is a part of a URL, in which a blank may be a plus."""
    return {text, unquote(text, errors="surrogateescape"), unquote_plus(text, errors="surrogateescape")}


def _key_read(found: Found, hasher: Hasher, now: float, before: KeyRead | None) -> KeyRead:
    entry, prefix, fetched = found
    if not fetched and before is not None:
        return before
    digest = hasher.value(entry.value)
    if before is not None and (before.prefix, before.revision, before.digest) == (
        prefix,
        entry.revision,
        digest,
    ):
        return before
    return KeyRead(prefix, entry.revision, digest, entry.modified or now)


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Make `recorder` the one filters and globals in this thread report to."""
    previous = getattr(_active, "recorder", None)
    _active.recorder = recorder
    try:
        yield recorder
    finally:
        _active.recorder = previous


def current() -> Recorder | None:
    """The recorder of the render this thread is in."""
    return getattr(_active, "recorder", None)


def note_derived(value: Any, *origins: object, opaque: bool = False) -> Any:
    """`value`, which was made of `origins`, after telling the render in progress."""
    recorder = current()
    if recorder is not None:
        recorder.note_derived(value, *origins, opaque=opaque)
    return value


def leaves_of(value: object, *, names: bool = False) -> Iterator[str | bytes]:
    """The texts and numbers in `value`, as text; in its mappings the `names` too. Shared parts are looked at once."""
    left, seen = [value], set()
    while left:
        one = left.pop()
        if isinstance(one, str | bytes):
            yield one
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield str(one)
        elif isinstance(one, Mapping | list | tuple) and id(one) not in seen:
            seen.add(id(one))
            left.extend(_values(one) if isinstance(one, Mapping) else one)
            left.extend(_names(one) if names and isinstance(one, Mapping) else ())


def _values(mapping: Mapping[Any, Any]) -> Iterable[Any]:
    """Not by the methods of a secret, which refuse a template what it may not use: here it is only looked at."""
    return dict.values(mapping) if isinstance(mapping, dict) else mapping.values()


def _names(mapping: Mapping[Any, Any]) -> Iterable[Any]:
    return dict.keys(mapping) if isinstance(mapping, dict) else mapping.keys()
