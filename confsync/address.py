"""How an addressed source is asked: `db`, `db#password`, `db?version=2#password`, `/pki/issue/web?common_name=a.test`.

A path is below the environment's prefix; with a leading slash it is from the store's root. After `?` come parameters
as in a URL, after `#` the field. What a store's name itself has of `#`, `?` and `%` is spelled `%23`, `%3F` and `%25`.
The text in its one canonical spelling is the key under which a read is recorded.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from confsync.driver import Address

# No other escape is read: `%2F` would make a slash, and `%2E%2E` a way out of the prefix.
_ESCAPED = {"%23": "#", "%3F": "?", "%25": "%"}
_ESCAPES = {ord(sign): escape for escape, sign in _ESCAPED.items()}


class Wanted(NamedTuple):
    """What a template or data map asks for.

    Attributes:
        path: as the store names it, without slashes at its ends.
        absolute: whether it is from the store's root, whatever the environment's prefix.
        parameters: sorted by name.
        field: one field of the secret, or None for all of them.
    """

    path: str
    absolute: bool
    parameters: tuple[tuple[str, str], ...] = ()
    field: str | None = None

    def under(self, prefix: str) -> Address:
        """The address below an environment's prefix."""
        if self.absolute:
            return Address(self.path, self.parameters)
        return Address("/".join(filter(None, (prefix.strip("/"), self.path))), self.parameters)

    def __str__(self) -> str:
        query = "?" + urlencode(self.parameters) if self.parameters else ""
        field = "" if self.field is None else f"#{self.field}"
        return f"{'/' if self.absolute else ''}{spelled(self.path)}{query}{field}"


def spelled(path: str) -> str:
    """A store's path, or a name in it, as an address spells it."""
    return path.translate(_ESCAPES)


def _named(path: str) -> str:
    """What `spelled` was given; a `%` that begins none of its escapes stands for itself."""
    return re.sub("%(?:23|25|3F)", lambda escape: _ESCAPED[escape[0].upper()], path, flags=re.IGNORECASE)


def parse(text: str) -> Wanted:
    """What `text` asks for.

    Raises:
        ValueError: it is no address; the message says what is wrong with it.
    """
    place, hash_sign, field = text.partition("#")
    path, _, query = place.partition("?")
    if hash_sign and not field:
        raise ValueError("after # the name of a field is missing")
    steps = path.strip("/").split("/")
    if steps == [""]:
        raise ValueError("the path is empty")
    if not {"", ".", ".."}.isdisjoint(steps):
        raise ValueError("a step of the path is empty, . or ..")
    return Wanted(
        _named("/".join(steps)), path.startswith("/"), _parameters(query), field if hash_sign else None
    )


def _parameters(query: str) -> tuple[tuple[str, str], ...]:
    try:
        parameters = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("what follows ? is not name=value&name=value") from None
    if len(dict(parameters)) < len(parameters):
        raise ValueError("a parameter is given twice")
    return tuple(sorted(parameters))


def canonical(text: str) -> str:
    """The one spelling of an address. Raises `ValueError` as `parse`."""
    return str(parse(text))
