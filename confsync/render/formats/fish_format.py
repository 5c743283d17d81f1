r"""`set -gx NAME 'value'` lines for the fish shell: everything but NUL can be written.

Between single quotes fish knows two escapes, `\'` and `\\`; line breaks are text (fish's manual, "Quotes"). The
names it keeps for itself are the electric variables of its `src/env.cpp`; that PATH and CDPATH have a `.` where an
element was empty was seen in fish 3.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from confsync.render.formats.lines import statements
from confsync.render.formats.names import check_variables
from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = False

_KEPT = frozenset({
    "FISH_VERSION", "PWD", "SHLVL", "_", "fish_kill_signal", "fish_killring", "fish_pid", "history", "hostname",
    "pipestatus", "status", "status_generation", "umask", "version",
})  # fmt: skip
_SEARCHED = frozenset({"PATH", "CDPATH"})
_LINE = re.compile(r"set -gx (?P<name>[A-Za-z_][A-Za-z0-9_]*) '(?P<value>(?:[^'\\\0]+|\\['\\])*+)'\n")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `set -gx NAME 'value'` for each. Raises `RenderError`."""
    check_variables(mapping, "fish")
    return "".join(f"set -gx {name} {_quoted(name, as_text(value))}\n" for name, value in mapping.items())


def parse(text: str) -> dict[str, str]:
    """The variables in what `encode` writes. Raises `ValueError` with the line."""
    return statements(
        text, _LINE, lambda match: _ESCAPED.sub(r"\1", match["value"]), "a set -gx of one quoted value"
    )


def _quoted(name: str, text: str) -> str:
    if name in _KEPT:
        raise refusal("fish", name, "fish keeps this variable to itself")
    if name in _SEARCHED and "" in text.split(":"):
        raise refusal("fish", name, "it has an empty element, for which fish puts `.` into this variable")
    if "\0" in text:
        raise refusal("fish", name, "it has a NUL character, which no shell variable can hold")
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
