"""How a data map is written to a file: one module a format, each able to read back what it writes.

Nothing is written that its readers would not read back exactly: `encode` parses its own result and
compares. What a format cannot hold (a line break in INI, NUL in a shell) is an error that names the key,
never a value changed in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from confsync.config.models import Format
from confsync.errors import RenderError
from confsync.render.formats.scalars import Plain, Scalar, as_text, plain, refusal

__all__ = ["Scalar", "encode", "format_of", "parse"]

_ENDINGS: dict[str, Format] = {
    ".env": "dotenv", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".ini": "ini",
    ".cfg": "ini", ".properties": "properties", ".tfvars": "tfvars", ".sh": "shell",
    ".fish": "fish", ".ps1": "powershell",
}  # fmt: skip


class _Codec(Protocol):
    """What each format's module has.

    Attributes:
        TYPED: whether numbers and booleans stay what they are; otherwise everything is text.
    """

    TYPED: bool

    def encode(self, mapping: Mapping[str, Plain]) -> str: ...

    def parse(self, text: str) -> dict[str, Any]: ...


def encode(form: Format, mapping: Mapping[str, Scalar]) -> bytes:
    """`mapping` in the format, in the mapping's own order, UTF-8, ending in a line break unless empty.

    Raises:
        RenderError: a key or value cannot be written so that it reads back exactly; names the key.
    """
    codec = _codec(form)
    wanted = plain(mapping, form)
    text = codec.encode(wanted)
    expected: Mapping[str, Plain] = wanted
    if not codec.TYPED:
        expected = {key: as_text(value) for key, value in wanted.items()}
    _compare(form, expected, _read_back(form, codec, text))
    return text.encode("utf-8")


def parse(form: Format, data: bytes) -> dict[str, Any]:
    """What a reader of the format finds in `data`.

    Raises:
        ValueError: it is not valid; the text holds no value.
    """
    return _codec(form).parse(data.decode("utf-8"))


def format_of(path: str) -> Format | None:
    """The format that a path's ending tells (`app.yaml`, `.env`, `.env.local`), or None."""
    name = path.rpartition("/")[2].lower()
    for ending, form in _ENDINGS.items():
        if name.endswith(ending):
            return form
    return "dotenv" if name.startswith(".env.") else None


def _codec(form: Format) -> _Codec:
    return cast("_Codec", import_module(f"confsync.render.formats.{form}_format"))


def _read_back(form: Format, codec: _Codec, text: str) -> dict[str, Any]:
    try:
        return codec.parse(text)
    except ValueError as exc:
        problem = f"it would not be readable ({type(exc).__name__})"
        raise RenderError(f"the data map cannot be written as {form}: {problem}") from exc


def _compare(form: Format, wanted: Mapping[str, Plain], found: Mapping[str, Any]) -> None:
    for key, value in wanted.items():
        if key not in found:
            raise refusal(form, key, "this key would be read back as another")
        if found[key] != value or type(found[key]) is not type(value):
            raise refusal(form, key, "its value would not be read back as it is")
    if len(found) != len(wanted):
        raise RenderError(f"the data map cannot be written as {form}: it would be read back with other keys")
