"""Which keys of a source are meant: all, none, or those whose names match a list of globs.

One key has many spellings: below each prefix that it lies under, and from the root. A secret of an addressed source has
more: with or without parameters, whole or one field, and a field is `secret#field` or, in a glob, `secret/field` too.
Where globs say what to hide they are matched against every spelling, so that none shows what another hides, and in
doubt a key is meant. Where they say what may be shown it is the other way round.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from confsync.address import Wanted, parse, spelled

_OF_FIELDS = "#/"
"""What parts a secret from its field in a glob."""


def in_any_spelling(
    said: bool | Sequence[str], prefixes: Iterable[str], *, of_secrets: bool
) -> Callable[[str], bool]:
    """Tells whether what a source gives at a path may be meant.

    Args:
        said: whether all are, or globs of keys as an environment shows them, or of full keys.
        prefixes: those of each environment that may show the key.
        of_secrets: whether the source is an addressed one.
    """
    if isinstance(said, bool):
        return lambda _: said
    places = {prefix.strip("/") for prefix in prefixes}
    return _any_secret(said, places | {""}) if of_secrets else _any_key(said, places)


def for_certain(globs: Sequence[str], prefixes: Iterable[str], *, of_secrets: bool) -> Callable[[str], bool]:
    """Tells whether all that a source gives at a path is meant for certain.

    Args:
        globs: of keys as the environment shows them; of an addressed source those that begin with a slash are from its
            root.
        prefixes: those of the environment, and of no other.
        of_secrets: whether the source is an addressed one.
    """
    if of_secrets:
        return _certain_secret(globs, {prefix.strip("/") for prefix in prefixes})
    keys = _any_of(glob.strip("/") for glob in globs)
    return lambda path: keys.match(path.strip("/")) is not None


def from_root(globs: Sequence[str], prefixes: Iterable[str]) -> Callable[[str], bool]:
    """Tells whether what an addressed source gives at a path may be one of those that globs name from its root.

    Args:
        prefixes: those of the environment.
    """
    named, places = _any_of(globs), {prefix.strip("/") for prefix in prefixes}

    def is_meant(path: str) -> bool:
        try:
            return any(map(named.match, _full(parse(path), places)))
        except ValueError:
            return False  # nothing is there

    return is_meant


def shown_as(key: str, prefixes: Iterable[str]) -> set[str]:
    """Each name that a key of an enumerable source has, or may have, below an environment's prefixes.

    Args:
        key: as the environment shows it.
        prefixes: those of the environment. Where one lies below another it shows one stored key by two names.
    """
    return _names_by(_steps_between({prefix.strip("/") for prefix in prefixes}), key)


def _steps_between(prefixes: Collection[str]) -> Sequence[str]:
    """What lies between each prefix and those that it lies below: `shop/` between `prod` and `prod/shop`."""
    steps = {step for prefix in prefixes if prefix for step in _below(f"{prefix}/", prefixes)}
    return sorted(steps - {""})


def _names_by(steps: Iterable[str], key: str) -> set[str]:
    """Each name of a key, of which its name below an inner prefix gives that below an outer one, and the other way."""
    names = {key}
    for step in steps:
        names.add(f"{step}{key}")
        if key.startswith(step):
            names.add(key[len(step) :])
    return names


def names_in(wanted: Wanted, prefixes: Collection[str]) -> tuple[set[str], set[str]]:
    """The names a secret has for certain below an environment's prefixes, and those it has, or may have, from the root.

    Args:
        prefixes: those of the environment, without slashes at their ends.
    """
    full = _full(wanted, prefixes)
    return (_below(wanted.path, prefixes) if wanted.absolute else {wanted.path}), full


def _full(wanted: Wanted, prefixes: Iterable[str]) -> set[str]:
    return {wanted.path} if wanted.absolute else {wanted.under(prefix).path for prefix in prefixes}


def _below(full: str, prefixes: Iterable[str]) -> set[str]:
    """The names of a full key below each prefix that it lies under."""
    return {
        full.removeprefix(f"{prefix}/") if prefix else full
        for prefix in prefixes
        if not prefix or full.startswith(f"{prefix}/")
    }


def _any_key(globs: Sequence[str], prefixes: set[str]) -> Callable[[str], bool]:
    """Of an enumerable source. A full key is meant by what begins like one: with a slash, or a prefix."""
    begins = ("/", *(f"{prefix}/" for prefix in prefixes if prefix))
    full_globs = [glob.strip("/") for glob in globs if glob.startswith(begins)]
    shown, full = _any_of(glob.strip("/") for glob in globs), _any_of(full_globs)
    steps = _steps_between(prefixes)
    roots = [f"{prefix}/" if prefix else "" for prefix in prefixes] if full_globs else []

    def is_meant(path: str) -> bool:
        key = path.strip("/")
        names = _names_by(steps, key) if steps else {key}
        if "#" in key:  # a file may stand in for a store of secrets, and have its fields for keys
            names |= {name.replace("#", "/") for name in names}
        return any(map(shown.match, names)) or any(full.match(f"{root}{key}") for root in roots)

    return is_meant


def _any_secret(globs: Sequence[str], prefixes: set[str]) -> Callable[[str], bool]:
    """Of an addressed source. A glob of a secret covers its fields; a whole secret is meant if one of them may be."""
    globs = [glob.strip("/") for glob in globs]
    named = _any_of(globs)
    begun = _any_of(start for glob in globs for start in _starts(glob))

    def is_meant(path: str) -> bool:
        try:
            wanted = parse(path)
        except ValueError:
            return True
        full = _full(wanted, prefixes)
        names = full.union(*(_below(one, prefixes) for one in full))
        # Matched as the store names it and as an address spells it, since a glob may be written as either.
        secrets = {text for name in names for text in (name, spelled(name))}
        if any(map(named.match, secrets)):
            return True
        fields = [f"{secret}{sign}{wanted.field or ''}" for secret in secrets for sign in _OF_FIELDS]
        return any(map(begun.match if wanted.field is None else named.match, fields))

    return is_meant


def _certain_secret(globs: Sequence[str], prefixes: set[str]) -> Callable[[str], bool]:
    """Of an addressed source: named below the prefixes, or by each name that it may have from the root."""
    below = _any_of(glob.rstrip("/") for glob in globs if not glob.startswith("/"))
    from_root = _any_of(glob.strip("/") for glob in globs if glob.startswith("/"))

    def is_meant(path: str) -> bool:
        try:
            wanted = parse(path)
        except ValueError:
            return False
        relative, full = names_in(wanted, prefixes)
        return _names(below, relative, wanted.field) or (
            bool(full) and all(_names(from_root, {name}, wanted.field) for name in full)
        )

    return is_meant


def _names(globs: re.Pattern[str], secrets: Iterable[str], field: str | None) -> bool:
    """Whether some spelling of a secret, or of the field that is asked for, is one of those named.

    A name with a `#` in it has one spelling only: as it is, it would be a field's.
    """
    texts = {text for secret in secrets for text in (secret, spelled(secret)) if "#" not in text}
    if any(map(globs.match, texts)):
        return True
    if field is None:
        return False
    signs = _OF_FIELDS if "#" not in field else "#"
    return any(globs.match(f"{text}{sign}{field}") for text in texts for sign in signs)


def _starts(glob: str) -> list[str]:
    """The glob cut off after each of its parts: one of them matches a text if what the glob matches may begin so."""
    ends = [part.end() for part in re.finditer(r"\[!?\]?[^\]]*\]|.", glob, re.DOTALL)]
    return [glob[:end] for end in ends]


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs) or r"(?!)")
