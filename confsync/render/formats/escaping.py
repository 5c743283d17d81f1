"""Writing text between double quotes, for the formats whose escapes are like C's. Fast on long text."""

from __future__ import annotations

from collections.abc import Callable, Mapping


class Escapes(dict[int, str]):
    """A table for `str.translate`: the escapes given, and a numeric one for whatever is not printable."""

    def __init__(self, named: Mapping[str, str], numeric: Callable[[int], str]) -> None:
        super().__init__({ord(char): escape for char, escape in named.items()})
        self._numeric = numeric

    def __missing__(self, code: int) -> str:
        # Not kept: the table must not grow with every character ever seen.
        char = chr(code)
        return char if char.isprintable() else self._numeric(code)

    def quote(self, text: str) -> str:
        """`text`, escaped, between double quotes."""
        return f'"{text.translate(self)}"'


def unicode_escape(code: int) -> str:
    r"""`\u00e9`, or `\U0001f600` beyond 16 bits."""
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
