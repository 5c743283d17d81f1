"""Reading a file that holds a credential or a certificate, whatever stands at its path.

A pipe that nobody writes to would keep whoever reads it for ever, a device would fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_LARGEST = 4 * 1024**2
"""Bytes; a bundle of all the CAs there are has a quarter of that."""


def read_bytes(path: Path) -> bytes:
    """The contents of a file.

    Raises:
        OSError: it cannot be read, is no regular file, or far too large; `strerror` says it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def read_line(path: Path) -> str:
    """The text in a file, without a final line break.

    Raises:
        OSError: as `read_bytes`.
        UnicodeDecodeError: it is not UTF-8.
    """
    text = read_bytes(path).decode("utf-8").replace("\r\n", "\n")
    return text.removesuffix("\n").removesuffix("\r")
