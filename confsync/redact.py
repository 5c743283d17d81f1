"""Keeps known sensitive values, and the forms they usually take, out of text that leaves the process.

Nobody can know every form that quoting and escaping may give a value. Its longer runs of letters and digits stay
what they are in all of them, so those are hidden too: rather a word too many than half a password. What a render made
of its secrets by filters is known (`Secrets`), and so are the words it wrote that no template has (`Word`).

What is as short as a word of any message is hidden only where it stands alone: everywhere else its absence would
make the message unreadable, and tell what it is.

What cannot be told from ordinary text is not hidden: numbers of fewer than four digits, words such as `true`, marks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from urllib.parse import quote, quote_plus

from confsync.text import printable

DOTS = "••••••"

_SHORTEST = 4
_SHORTEST_LINE = 8
_LONG = 8
_LONGEST = 65536  # in a message there is never so much that it could be whole
_FLAGS = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null"})
_TRIMMED = " \t\r\n/"
"""What those who take a value for a name strip off it."""
_RUN = re.compile(r"[A-Za-z0-9]{8,}")
_WORD = re.compile(r"[^\W_]{4,}")


class Line(str):
    """A line of a sensitive file. It is hidden as a whole; its words, most of them the template's, are not."""

    __slots__ = ()


class Word(str):
    """A run of letters and digits in a sensitive file that no template has. It is hidden wherever it stands whole."""

    __slots__ = ()


class Secrets(set[str | bytes]):
    """Texts that must not be seen, and whether another text has one of them in it. Belongs to one thread."""

    __slots__ = ("_starting",)

    def __init__(self) -> None:
        super().__init__()
        self._starting: dict[str, dict[int, set[str]]] = {}  # how they begin -> how long they are -> they

    def add(self, secret: str | bytes) -> None:
        """Keep one."""
        if secret in self:
            return
        super().add(secret)
        for text in _as_written(_as_text(secret).strip(_TRIMMED)):
            if len(text) >= _SHORTEST and text.lower() not in _FLAGS:
                self._starting.setdefault(text[:_SHORTEST], {}).setdefault(len(text), set()).add(text)

    def update(self, *others: Iterable[str | bytes]) -> None:
        """Keep them all."""
        for other in others:
            for secret in other:
                self.add(secret)

    def are_in(self, text: str | bytes) -> bool:
        """Whether `text` is one of them, or has one of at least four characters in it."""
        return text in self or next(self.within(_as_text(text)), None) is not None

    def within(self, text: str) -> Iterator[str]:
        """Those of at least four characters that stand in `text`."""
        for at in range(len(text) - _SHORTEST + 1) if self._starting else ():
            for length, alike in self._starting.get(text[at : at + _SHORTEST], {}).items():
                if (part := text[at : at + length]) in alike:
                    yield part


def words(text: str) -> set[str]:
    """The runs of at least four letters and digits in `text`."""
    return set(_WORD.findall(text))


def redactor(secrets: Iterable[str | bytes], lines: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that replaces every known secret in a text, in plain, base64, hex, JSON and URL form.

    Args:
        secrets: what must not be seen; a `Line` among them counts as one of `lines`.
        lines: lines of sensitive files, hidden where they occur whole; those under 8 characters are not.

    Both are gone through when the first text is to be redacted, and only once.
    """

    @cache
    def known() -> _Known:
        # Only when there is something to hide them from: the lines may be many, and messages are few.
        return _Known(secrets, lines)

    return lambda text: known().hide(text)


class _Known:
    """What is to be hidden, sorted by how it is looked for."""

    def __init__(self, secrets: Iterable[str | bytes], lines: Iterable[str]) -> None:
        found = {form for line in lines for form in _line_forms(line)}
        alone: set[str] = set()
        self._words: set[str] = set()
        for secret in secrets:
            if isinstance(secret, Word):
                self._words.add(str(secret))
            elif isinstance(secret, Line):
                found.update(_line_forms(secret))
            elif len(text := _as_text(secret).strip()) < _SHORTEST:
                alone.add(text)
            elif text.lower() not in _FLAGS:
                found.update(form for form in _forms(secret) if form.strip())
        self._forms = sorted(found, key=len, reverse=True)
        self._long = "\n".join(word for word in self._words if len(word) > _LONG)
        shorts = "|".join(re.escape(word) for word in sorted(alone, key=len, reverse=True) if _may_hide(word))
        self._alone = re.compile(rf"(?<![^\W_])(?:{shorts})(?![^\W_])") if shorts else None

    def hide(self, text: str) -> str:
        """`text` with dots in place of everything that is known."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, DOTS)
        if self._words:
            text = _WORD.sub(self._hidden, text)
        return self._alone.sub(DOTS, text) if self._alone else text

    def _hidden(self, found: re.Match[str]) -> str:
        """A word of the text, or dots where it is one of the words, or was cut out of one."""
        word = found[0]
        return DOTS if word in self._words or (len(word) >= _LONG and word in self._long) else word


def _may_hide(word: str) -> bool:
    """Whether a short value can be a secret at all: a number, a flag or a mark is in every message."""
    return not word.isdigit() and word.lower() not in _FLAGS and any(map(str.isalnum, word))


def _as_text(secret: str | bytes) -> str:
    return secret.decode("utf-8", "replace") if isinstance(secret, bytes) else secret


def _as_written(text: str) -> set[str]:
    """`text`, and how it looks where Python writes out the list it is in."""
    escaped = repr(text)[1:-1]
    return {text, escaped, escaped.replace("\\'", "'").replace("'", "\\'")}


def _line_forms(line: str) -> Iterator[str]:
    text = line.strip()
    if len(text) >= _SHORTEST_LINE:
        yield text
        yield printable(text)
        yield repr(text)[1:-1]
        yield json.dumps(text)[1:-1]


def _forms(secret: str | bytes) -> Iterator[str]:
    from html import escape  # of no use at start-up, and slow to import

    data = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogateescape")
    text = data.decode("utf-8", "replace")
    yield from (line for line in text.splitlines() if len(line) >= 4)
    yield from _RUN.findall(text)
    if len(text) > _LONGEST:
        return
    yield text
    yield text.strip()
    yield from _as_written(text)
    yield printable(text)
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield escape(text)
    yield quote(data, safe="")
    yield quote(data)
    yield quote_plus(data)
    yield data.hex()
    yield data.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode()
        yield encode(data).decode().rstrip("=")
        yield from (_within(data, before, encode) for before in (0, 1, 2) if len(data) > _SHORTEST)


def _within(data: bytes, before: int, encode: Callable[[bytes], bytes]) -> str:
    """What is the same in the base64 of every text that has `data` in it, after `before` bytes and whole threes."""
    whole = encode(b"\0" * before + data).decode().rstrip("=")
    # The first digit and the last may depend on what is beside it.
    return whole[before + 1 if before else 0 : (before + len(data)) * 8 // 6]
