"""Text: indenting, cases of names, parts of paths."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from confsync.errors import RenderError
from confsync.render.filters.values import allow, describe, integer, text

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def nindent(value: object, width: int = 4) -> str:
    """A line break, then every line indented: `{{ 'b: 1'|nindent(2) }} → ⏎  b: 1`."""
    pad = " " * integer(width, "nindent")
    return "\n" + _prefixed(text(value, "nindent"), pad, blank="")


def comment(value: object, prefix: str = "# ") -> str:
    """Every line made a comment: `{{ 'a⏎b'|comment }} → # a⏎# b`."""
    mark = text(prefix, "comment")
    return _prefixed(text(value, "comment"), mark, blank=mark.rstrip())


def trim_prefix(value: object, prefix: str) -> str:
    """Without the prefix, if it is there: `{{ 'v1.2'|trim_prefix('v') }} → 1.2`."""
    return text(value, "trim_prefix").removeprefix(text(prefix, "trim_prefix"))


def trim_suffix(value: object, suffix: str) -> str:
    """Without the suffix, if it is there: `{{ 'a.conf'|trim_suffix('.conf') }} → a`."""
    return text(value, "trim_suffix").removesuffix(text(suffix, "trim_suffix"))


def split(value: object, separator: str | None = None, maxsplit: int = -1) -> list[str]:
    """The parts between separators, by default blanks: `{{ 'a,b'|split(',')|join('-') }} → a-b`."""
    if separator == "":
        raise RenderError("split: the separator must not be empty")
    word = text(value, "split")
    allow(8 * (len(word) if separator is None else word.count(separator)))
    return word.split(separator, integer(maxsplit, "split"))


def snake_case(value: object) -> str:
    """In lower case with underscores: `{{ 'dbHost HTTPPort'|snake_case }} → db_host_http_port`."""
    return "_".join(_words(text(value, "snake_case"))).lower()


def kebab_case(value: object) -> str:
    """In lower case with hyphens: `{{ 'dbHost'|kebab_case }} → db-host`."""
    return "-".join(_words(text(value, "kebab_case"))).lower()


def camel_case(value: object) -> str:
    """With inner capitals: `{{ 'db_host-name'|camel_case }} → dbHostName`."""
    words = [word.lower() for word in _words(text(value, "camel_case"))]
    return "".join(words[:1] + [word[:1].upper() + word[1:] for word in words[1:]])


def basename(value: object) -> str:
    """The last part of a path: `{{ '/etc/app/a.conf'|basename }} → a.conf`."""
    return posixpath.basename(text(value, "basename").rstrip("/"))


def dirname(value: object) -> str:
    """A path without its last part: `{{ '/etc/app/a.conf'|dirname }} → /etc/app`."""
    path = text(value, "dirname")
    return posixpath.dirname(path.rstrip("/") or path[:1])


def to_bool(value: object) -> bool:
    """true, yes, on, 1 or their opposites; nothing else: `{{ 'yes'|to_bool }} → True`."""
    if isinstance(value, bool):
        return value
    word = text(value, "to_bool").strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise RenderError(f"to_bool takes true, yes, on, 1, false, no, off or 0, not {describe(value)}")


def ternary(value: object, if_true: Any, if_false: Any) -> Any:
    """One of two values: `{{ (2 > 1)|ternary('on', 'off') }} → on`."""
    return if_true if value else if_false


def _prefixed(word: str, prefix: str, blank: str) -> str:
    lines = word.split("\n")
    allow(len(word) + len(lines) * len(prefix))
    return "\n".join(prefix + line if line else blank for line in lines)


def _words(name: str) -> list[str]:
    return list(_each_word(name))


def _each_word(name: str) -> Iterator[str]:
    """The words of `dbHost`, `HTTP_port` or `HTTPPort`: of capitals in a row, the last may begin a word."""
    start = 0
    for at, char in enumerate(name):
        if not char.isalnum():
            if at > start:
                yield name[start:at]
            start = at + 1
        elif at > start and char.isupper() and _begins_word(name, at):
            yield name[start:at]
            start = at
    if start < len(name):
        yield name[start:]


def _begins_word(name: str, at: int) -> bool:
    return not name[at - 1].isupper() or (at + 1 < len(name) and name[at + 1].islower())
