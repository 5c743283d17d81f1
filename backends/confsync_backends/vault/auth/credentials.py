"""Credentials kept elsewhere: in files and environment variables, never in the configuration."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from confsync.errors import Denied
from confsync_backends.credential_file import read_line

_HEADER = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credential:
    """Where one credential is kept: a file, or else an environment variable. It is read anew each time.

    Attributes:
        what: what it is, for messages: `password`.
        file: the file, absolute or relative to where the process runs; None where a variable holds it.
        env: the variable's name.
    """

    what: str
    file: Path | None = None
    env: str | None = None

    def __str__(self) -> str:
        """Where it is, for messages: `$DB_PASSWORD` or `/run/secrets/password`."""
        return f"${self.env}" if self.file is None else str(self.file)

    def is_here(self) -> bool:
        """Whether there is something to be read."""
        if self.file is None:
            return bool(os.environ.get(str(self.env)))
        return os.access(self.file, os.R_OK)

    def read(self) -> str:
        """The credential, without a final newline.

        Raises:
            Denied: the file cannot be read, the variable is not set, or nothing is in it.
        """
        value = self._variable() if self.file is None else _contents(self.what, self.file)
        if not value:
            raise Denied(f"no {self.what}: {self} is empty")
        return value

    def read_token(self) -> str:
        """The same for a token of Vault's, without space around it.

        Raises:
            Denied: also where it can be no token. The HTTP library would say so by quoting it.
        """
        value = self.read().strip()
        if _HEADER.fullmatch(value) is None:
            raise Denied(
                f"no {self.what}: what {self} holds is none: it has spaces, line breaks or other characters "
                "no token has",
                hint="put the bare token there and nothing else",
            )
        return value

    def read_jwt(self) -> str:
        """The same for a JSON Web Token.

        Raises:
            Denied: also where it is none. Some servers answer such a one as if they had failed themselves.
        """
        value = self.read_token()
        if not _is_jwt(value):
            raise Denied(
                f"no {self.what}: what {self} holds is no JSON Web Token",
                hint="it is three parts with dots in between, and begins with eyJ",
            )
        return value

    def stamp(self) -> Hashable:
        """Another one when the credential may have changed. Reads no contents of files."""
        if self.file is None:
            return os.environ.get(str(self.env))
        try:
            status = self.file.stat()
        except OSError as error:
            return error.errno
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _variable(self) -> str:
        value = os.environ.get(str(self.env))
        if value is None:
            raise Denied(f"no {self.what}: the environment variable {self.env} is not set")
        return value


def _contents(what: str, path: Path) -> str:
    try:
        return read_line(path)
    except OSError as error:
        raise Denied(f"no {what}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        # Without the cause: its text quotes a byte of the secret, its attributes hold all of it.
        raise Denied(f"no {what}: {path} is not UTF-8 text (byte {error.start})") from None


def _is_jwt(token: str) -> bool:
    header, *rest = token.split(".")
    if len(rest) != 2 or not all(rest):
        return False
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))), dict)
    except ValueError:
        return False
