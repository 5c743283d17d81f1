"""What a key is called as an environment variable.

`api/url` is API_URL, `db#password` DB_PASSWORD: upper case, and `_` for every separator. `keys: {api/url: {variable:
BACKEND}}` calls it otherwise.
"""

from __future__ import annotations

import re

from confsync.render.formats.names import VARIABLE
from confsync.text import printable

_SEPARATORS = re.compile(r"[/.#: -]")
_OTHERS = re.compile(r"[^A-Za-z0-9_]+")


def variable_name(path: str) -> str:
    """The name of the variable for the key at `path`.

    Raises:
        ValueError: the rule gives no legal name; says so, and what to call it.
    """
    name = _SEPARATORS.sub("_", path).upper()
    if VARIABLE.fullmatch(name):
        return name
    raise ValueError(
        f"{printable(name)} is no name for a variable: letters, digits and _ only, and no digit first; "
        f"call it something: keys: {{{printable(path)!r}: {{variable: {_suggestion(name)}}}}}"
    )


def _suggestion(name: str) -> str:
    legal = _OTHERS.sub("_", name).strip("_") or "NAME"
    return f"_{legal}" if legal[0].isdigit() else legal
