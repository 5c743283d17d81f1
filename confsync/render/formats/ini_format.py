"""INI files, as Python's `configparser` reads them (interpolation off).

A key `section/name` goes into `[section]` (the last slash divides); a key without a slash into `[DEFAULT]`,
which comes first and which `configparser` shows in every section. Sections come in the order of their first
key. INI has no quoting and no escapes, so a value cannot have a line break or blanks at its ends; other
readers may take `;`, `#`, quotes or `%` in a value to mean something.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = False

_DEFAULT = "DEFAULT"
_LINE_BREAKS = frozenset("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")


def encode(mapping: Mapping[str, Plain]) -> str:
    """`name = value` lines under their sections. Raises `RenderError`."""
    _check_collisions(mapping)
    sections: dict[str, list[str]] = {}
    for key, value in mapping.items():
        section, name = _split(key)
        sections.setdefault(section, []).append(f"{name} = {_checked(key, as_text(value))}".rstrip(" "))
    first = [_DEFAULT] if _DEFAULT in sections else []
    order = first + [section for section in sections if section != _DEFAULT]
    blocks = ("\n".join([f"[{section}]", *sections[section], ""]) for section in order)
    return "\n".join(blocks)


def parse(text: str) -> dict[str, str]:
    """`section/name` -> value, for everything in `text`. Raises `ValueError`."""
    import configparser

    # Names keep their case here; with default_section out of the way [DEFAULT] shows only in its own place.
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    parser.optionxform = lambda optionstr: optionstr  # type: ignore[method-assign]
    try:
        parser.read_file(io.TextIOWrapper(io.BytesIO(text.encode("utf-8")), "utf-8"))
    except configparser.Error as exc:
        raise ValueError(f"not valid INI ({type(exc).__name__})") from exc
    return {
        name if section == _DEFAULT else f"{section}/{name}": value
        for section in parser.sections()
        for name, value in parser.items(section)
    }


def check_value(text: str) -> str:
    """`text`, if INI can hold it. Raises `ValueError` that says why not."""
    if _LINE_BREAKS & set(text):
        raise ValueError("it has a line break, for which INI has no escape")
    if text != text.strip():
        raise ValueError("it begins or ends with blanks, which INI's readers remove")
    return text


def _check_collisions(mapping: Mapping[str, Plain]) -> None:
    """Most readers ignore the case of names."""
    seen: dict[tuple[str, str], str] = {}
    for key in mapping:
        section, name = _split(key)
        other = seen.setdefault((section, name.lower()), key)
        if other != key:
            raise refusal("ini", key, f"it is the same name as {other!r} to readers that ignore case")


def _split(key: str) -> tuple[str, str]:
    section, slash, name = key.rpartition("/")
    if not slash:
        section = _DEFAULT
    if not section or not name or section != section.strip() or name != name.strip():
        raise refusal("ini", key, "a section and a name must not be empty, or begin or end with blanks")
    if (_LINE_BREAKS | {"]"}) & set(section):
        raise refusal("ini", key, "a section cannot have ] or a line break")
    if (_LINE_BREAKS | {"=", ":"}) & set(name) or name[0] in "[#;":
        raise refusal("ini", key, "a name cannot have =, : or a line break, or begin with [ # or ;")
    return section, name


def _checked(key: str, text: str) -> str:
    try:
        return check_value(text)
    except ValueError as exc:
        raise refusal("ini", key, str(exc)) from exc
