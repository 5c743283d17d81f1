"""Where a file is to be, or was: its path, and whether anything is there."""

from __future__ import annotations

import os

from confsync.errors import ConfigError
from confsync.text import printable


def place_of(text: str) -> str:
    """The path somebody means: absolute, its directory as the system sees it, its name as it was typed.

    Raises:
        ConfigError: no file can be called so.
    """
    if "\0" in text or os.path.basename(text) in ("", ".", ".."):
        raise ConfigError(f"{printable(text) or 'an empty name'}: is no name for a file")
    directory, name = os.path.split(text)
    return os.path.join(os.path.realpath(directory), name)


def is_gone(path: str) -> bool:
    """Whether nothing is there; not where that cannot be seen. Never raises."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
