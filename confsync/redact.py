"""Keeps known sensitive values, and the forms they usually take, out of text that leaves the process.

Nobody can know every form that quoting and escaping may give a value. Its longer runs of letters and digits stay
what they are in all of them, so those are hidden too: rather a word too many than half a password.

What is as short as a word of any message is hidden only where it stands alone: everywhere else its absence would
make the message unreadable, and tell what it is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from urllib.parse import quote

from confsync.text import printable

DOTS = "••••••"

_SHORTEST = 4
_SHORTEST_LINE = 8
_FLAGS = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null"})
_RUN = re.compile(r"[A-Za-z0-9]{8,}")


class Line(str):
    """A line of a sensitive file. It is hidden as a whole; its words, most of them the template's, are not."""

    __slots__ = ()


def redactor(secrets: Iterable[str | bytes], lines: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that replaces every known secret in a text, in plain, base64, hex, JSON and URL form.

    Args:
        secrets: what must not be seen; a `Line` among them counts as one of `lines`.
        lines: lines of sensitive files, hidden where they occur whole; those under 8 characters are not.
    """
    secrets, lines = tuple(secrets), tuple(lines)

    @cache
    def patterns() -> tuple[list[str], re.Pattern[str] | None]:
        # Only when there is something to hide them from: the lines may be many, and messages are few.
        found = {form for line in lines for form in _line_forms(line)}
        words = set()
        for secret in secrets:
            if isinstance(secret, Line):
                found.update(_line_forms(secret))
            elif len(text := _as_text(secret).strip()) < _SHORTEST:
                words.add(text)
            elif text.lower() not in _FLAGS:
                found.update(form for form in _forms(secret) if form.strip())
        alone = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if _may_hide(word))
        word = re.compile(rf"(?<![^\W_])(?:{alone})(?![^\W_])") if alone else None
        return sorted(found, key=len, reverse=True), word

    def redact(text: str) -> str:
        forms, word = patterns()
        for form in forms:
            if form in text:
                text = text.replace(form, DOTS)
        return word.sub(DOTS, text) if word else text

    return redact


def _may_hide(word: str) -> bool:
    """Whether a short value can be a secret at all: a number, a flag or a mark is in every message."""
    return not word.isdigit() and word.lower() not in _FLAGS and any(map(str.isalnum, word))


def _as_text(secret: str | bytes) -> str:
    return secret.decode("utf-8", "replace") if isinstance(secret, bytes) else secret


def _line_forms(line: str) -> Iterator[str]:
    text = line.strip()
    if len(text) >= _SHORTEST_LINE:
        yield text
        yield printable(text)
        yield repr(text)[1:-1]
        yield json.dumps(text)[1:-1]


def _forms(secret: str | bytes) -> Iterator[str]:
    data = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogateescape")
    text = data.decode("utf-8", "replace")
    yield text
    yield from (line for line in text.splitlines() if len(line) >= 4)
    yield from _RUN.findall(text)
    yield repr(text)[1:-1]
    yield printable(text)
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield quote(data, safe="")
    yield quote(data)
    yield data.hex()
    yield base64.b64encode(data).decode()
    yield base64.urlsafe_b64encode(data).decode()
    yield base64.b64encode(data).decode().rstrip("=")
