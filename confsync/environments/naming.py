"""What a key is called as an environment variable.

`api/url` is API_URL, `db#password` DB_PASSWORD: upper case, and `_` for every separator. `keys: {api/url: {variable:
BACKEND}}` calls it otherwise.
"""

from __future__ import annotations

import re
import unicodedata

from confsync.render.formats.names import VARIABLE
from confsync.text import printable

_SEPARATORS = re.compile(r"[/.#: -]")
_OTHERS = re.compile(r"[^A-Z0-9_]+")

# A shell or the loader of programs acts on these, whatever a key of that name was meant for: with PATH=/api no program
# is found, and BASH_ENV and LD_PRELOAD have others' code run. See bash(1), "Shell Variables", and ld.so(8).
_ACTED_UPON = re.compile(r"PATH|IFS|PS4|BASH_ENV|BASHOPTS|SHELLOPTS|PROMPT_COMMAND|(LD|DYLD)_.*")


def variable_name(path: str) -> str:
    """The name of the variable for the key at `path`.

    Raises:
        ValueError: the rule gives no name that can be used; says why.
    """
    name = _SEPARATORS.sub("_", path)
    if not VARIABLE.fullmatch(name):  # before it is upper case: that of `ß` is `SS`
        raise ValueError(
            f"{printable(name.upper())} is no name for a variable: letters, digits and _ only, and no digit first"
        )
    if _ACTED_UPON.fullmatch(name.upper()):
        raise ValueError(f"{name.upper()} is a variable that shells and programs act upon")
    return name.upper()


def suggested_name(path: str) -> str:
    """A name that can be used, as like that of `path` as may be."""
    plain = unicodedata.normalize("NFKD", _SEPARATORS.sub("_", path).upper())
    name = _OTHERS.sub("_", "".join(char for char in plain if not unicodedata.combining(char)))
    if not name.strip("_"):
        return "NAME"
    if _ACTED_UPON.fullmatch(name):
        return f"APP_{name}"
    return f"_{name}" if name[0].isdigit() else name
