"""What of a rendered file the templates say themselves, and what not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from confsync.redact import words
from confsync.target import Content

_MARKS = ("{{", "{%", "{#")


class Literals(Sequence[str]):
    """The texts of templates, read when first asked for: most renders are shown to nobody."""

    def __init__(self, readers: Sequence[Callable[[], str]]) -> None:
        self._readers = readers
        self._texts: list[str] | None = None

    @property
    def _all(self) -> list[str]:
        if self._texts is None:
            self._texts = [read() for read in self._readers]
        return self._texts

    def __len__(self) -> int:
        return len(self._readers)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        return self._all[at]


def secret_words(lines: Iterable[str], literals: Sequence[str], public: Iterable[str]) -> set[str]:
    """The words in lines of sensitive content that stand in no template, nor in what is `public` otherwise."""
    plain = {word for text in (*literals, *public) for word in words(text)}
    return {word for line in lines for word in words(line)} - plain


def secret_lines(content: Content, literals: Sequence[str]) -> Iterator[str]:
    """The lines of sensitive content that stand in no template as they are: any may have a secret in it."""
    lines = (line.strip() for text in literals for line in text.split("\n"))
    plain = {line for line in lines if not any(mark in line for mark in _MARKS)}
    for data in [content] if isinstance(content, bytes) else content.values():
        for line in data.decode("utf-8", "replace").split("\n"):
            if line.strip() not in plain:
                yield line.strip()
