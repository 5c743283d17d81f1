"""Which keys of a source are meant: all, none, or those whose names match a list of globs.

One secret of an addressed source has many spellings: below a prefix or from the root, with or without parameters,
whole or one field. Where globs say what to hide they are matched against all of them, so that no spelling shows what
another hides, and in doubt a value is meant. Where they say what may be shown it is the other way round.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from confsync.address import Wanted, parse, spelled


def by_key(said: bool | Sequence[str]) -> Callable[[str], bool]:
    """Tells whether a key is meant.

    Args:
        said: whether all are, or globs of keys as an environment shows them.
    """
    if isinstance(said, bool):
        return lambda _: said
    keys = _any_of(glob.strip("/") for glob in said)
    return lambda path: keys.match(path.strip("/")) is not None


def maybe_by_key(globs: Sequence[str], prefixes: Iterable[str]) -> Callable[[str], bool]:
    """Tells whether a key may be meant.

    Args:
        globs: of keys as an environment shows them; those that begin with a slash, or with a prefix of the environment,
            may as well be of full keys, as the store has them.
        prefixes: those of the environment.
    """
    every_prefix = [prefix.strip("/") for prefix in prefixes]
    shown = by_key(globs)
    begins = ("/", *(f"{prefix}/" for prefix in every_prefix if prefix))
    full_globs = [glob.strip("/") for glob in globs if glob.startswith(begins)]
    if not full_globs:
        return shown
    full = _any_of(full_globs)

    def is_meant(path: str) -> bool:
        key = path.strip("/")
        return shown(key) or any(full.match(f"{prefix}/{key}".lstrip("/")) for prefix in every_prefix)

    return is_meant


def by_address(said: bool | Sequence[str], prefixes: Iterable[str]) -> Callable[[str], bool]:
    """Tells whether what an addressed source gives at a path may be meant.

    A glob of a secret, without `#`, covers each of its fields. A secret read as a whole shows each field, so that it
    is meant if any field might be.

    Args:
        said: whether all are, or globs of `secret` or `secret#field`, below any environment's prefix or from the root.
        prefixes: those of all environments.
    """
    if isinstance(said, bool):
        return lambda _: said
    every_prefix = {prefix.strip("/") for prefix in prefixes} | {""}
    globs = [glob.strip("/") for glob in said]
    full = _any_of(globs)
    begun = _any_of(start for glob in globs for start in _starts(glob))

    def is_meant(path: str) -> bool:
        try:
            wanted = parse(path)
        except ValueError:
            return True
        # Matched as the store names it and as an address spells it, since a glob may be written as either.
        secrets = {text for name in _names(wanted, every_prefix) for text in (name, spelled(name))}
        if any(map(full.match, secrets)):
            return True
        if wanted.field is None:
            return any(begun.match(f"{secret}#") for secret in secrets)
        return any(full.match(f"{secret}#{wanted.field}") for secret in secrets)

    return is_meant


def surely_by_address(globs: Sequence[str], prefixes: Iterable[str]) -> Callable[[str], bool]:
    """Tells whether all that an addressed source gives at a path is meant for certain.

    Args:
        globs: of `secret`, for all its fields, or of `secret#field`, below the environment's prefixes; those that
            begin with a slash are from the root.
        prefixes: those of the environment, and of no other.
    """
    own_prefixes = {prefix.strip("/") for prefix in prefixes}
    below = _any_of(glob.rstrip("/") for glob in globs if not glob.startswith("/"))
    from_root = _any_of(glob.strip("/") for glob in globs if glob.startswith("/"))

    def is_meant(path: str) -> bool:
        try:
            wanted = parse(path)
        except ValueError:
            return False
        relative, full = names_in(wanted, own_prefixes)
        return _matches(below, relative, wanted.field) or (
            bool(full) and all(_matches(from_root, {name}, wanted.field) for name in full)
        )

    return is_meant


def names_in(wanted: Wanted, prefixes: Collection[str]) -> tuple[set[str], set[str]]:
    """The names a secret has below an environment's prefixes, and those it has, or may have, from the root.

    Args:
        prefixes: those of the environment, without slashes at their ends.
    """
    full = {wanted.path} if wanted.absolute else {wanted.under(prefix).path for prefix in prefixes}
    if not wanted.absolute:
        return {wanted.path}, full
    below = {
        name.removeprefix(f"{prefix}/") if prefix else name
        for name in full
        for prefix in prefixes
        if not prefix or _lies_under(name, prefix)
    }
    return below, full


def _matches(globs: re.Pattern[str], secrets: Iterable[str], field: str | None) -> bool:
    """Whether some spelling of a secret, or of the field that is asked for, is one of those named.

    A name with a `#` in it has one spelling only: as it is, it would be a field's.
    """
    texts = {text for secret in secrets for text in (secret, spelled(secret)) if "#" not in text}
    whole = any(map(globs.match, texts))
    return whole or (field is not None and any(globs.match(f"{text}#{field}") for text in texts))


def _names(wanted: Wanted, prefixes: set[str]) -> set[str]:
    """Each name a secret has: from the root, and below every prefix it lies under."""
    from_root = {wanted.path} if wanted.absolute else {wanted.under(prefix).path for prefix in prefixes}
    below = {
        name[len(prefix) + 1 :] for name in from_root for prefix in prefixes if _lies_under(name, prefix)
    }
    return from_root | below


def _lies_under(name: str, prefix: str) -> bool:
    return prefix != "" and name.startswith(f"{prefix}/")


def _starts(glob: str) -> list[str]:
    """The glob cut off after each of its parts: one of them matches a text if what the glob matches may begin so."""
    ends = [part.end() for part in re.finditer(r"\[!?\]?[^\]]*\]|.", glob, re.DOTALL)]
    return [glob[:end] for end in ends]


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs) or r"(?!)")
