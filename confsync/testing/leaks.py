"""Finds sensitive values in what a run left behind: its output, its log, its files.

    leaks = Leaks([b"correct horse battery staple", b"-----BEGIN…"])
    leaks.find(result.stdout)           # [] or what was found, such as ["base64 of value 0"]
    leaks.find_in_files(state_directory)

A value is looked for as it is and in the forms that encoders give it. What nobody could tell from ordinary text is not
looked for: text of fewer than 4 characters, words such as `true`, numbers of fewer than 8 digits.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from confsync.text import printable

_SHORTEST = 4
_SHORTEST_LINE = 8
_FLAGS = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null"})

Encoder = Callable[[str], str]

OF_TEXT: Mapping[str, Encoder] = {
    "the text": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "reversed": lambda text: text[::-1],
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "JSON for HTML": lambda text: _html_safe(json.dumps(text)[1:-1]),
    "repr": lambda text: repr(text)[1:-1],
    "escaped for a terminal": printable,
    "shell": lambda text: text.replace("'", "'\\''"),
    "shell, as Python quotes it": lambda text: text.replace("'", "'\"'\"'"),
    "doubled quotes": lambda text: text.replace("'", "''"),
    "HTML": html.escape,
    "percent": lambda text: text.replace("%", "%%"),
    "dollar": lambda text: text.replace("$", "$$"),
    "regular expression": re.escape,
}
OF_BYTES: Mapping[str, Callable[[bytes], str]] = {
    "base64": lambda data: base64.b64encode(data).decode().rstrip("="),
    "base64 for URLs": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "base64 of base64": lambda data: base64.b64encode(base64.b64encode(data)).decode().rstrip("="),
    "base64 within more": lambda data: _within(data, 1),
    "base64 within yet more": lambda data: _within(data, 2),
    "hexadecimal": bytes.hex,
    "hexadecimal capitals": lambda data: data.hex().upper(),
    "URL": lambda data: quote(data, safe=""),
    "URL path": quote,
    "URL query": quote_plus,
    "URL in small letters": lambda data: re.sub(
        "%[0-9A-F]{2}", lambda found: found[0].lower(), quote(data, safe="")
    ),
}


class Leaks:
    """Looks for sensitive values.

    Args:
        values: what must not be seen.
        others: what became of them, looked for as it is.
    """

    def __init__(self, values: Iterable[str | bytes], others: Iterable[str] = ()) -> None:
        self._forms: dict[str, str] = {
            other: "something made of a value" for other in others if _tells(other)
        }
        for number, value in enumerate(values):
            self._forms |= {form: f"{kind} of value {number}" for kind, form in _forms(value) if _tells(form)}

    def find(self, text: str) -> list[str]:
        """What of the values is in `text`: the form, its number, and the form itself."""
        return sorted({f"{kind}: {form!r}" for form, kind in self._forms.items() if form in text})

    def find_in_bytes(self, data: bytes) -> list[str]:
        """What of them is in a file's bytes."""
        return sorted(
            {
                f"{kind}: {form!r}"
                for form, kind in self._forms.items()
                if form.encode("utf-8", "surrogateescape") in data
            }
        )

    def find_in_files(self, directory: Path) -> dict[str, list[str]]:
        """Path -> what of them is in that file, or in its name; files without are left out."""
        found = {
            str(path): self.find_in_bytes(path.read_bytes()) + self.find(path.name)
            for path in directory.rglob("*")
            if path.is_file()
        }
        return {path: leaks for path, leaks in found.items() if leaks}


def _forms(value: str | bytes) -> Iterator[tuple[str, str]]:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    text = data.decode("utf-8", "surrogateescape")
    if len(text.strip()) < _SHORTEST:
        return
    for kind, of_text in OF_TEXT.items():
        yield kind, of_text(text.strip())
    for kind, of_bytes in OF_BYTES.items():
        yield kind, of_bytes(data)
    for line in text.splitlines():
        if len(line.strip()) >= _SHORTEST_LINE:
            yield "a line", line.strip()


def _tells(form: str) -> bool:
    """Whether finding it means anything."""
    text = form.strip()
    few_digits = text.isdigit() and len(text) < 8
    return len(text) >= _SHORTEST and text.lower() not in _FLAGS and not few_digits


def _within(data: bytes, before: int) -> str:
    """The part of its base64 that is the same whatever stands after it, and the `before` bytes before it."""
    encoded = base64.b64encode(b"\0" * before + data).decode()
    skipped = -(-before * 8 // 6)
    return encoded[skipped : skipped + (len(data) * 8 - (skipped * 6 - before * 8)) // 6]


def _html_safe(text: str) -> str:
    for char in "<>&'":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
