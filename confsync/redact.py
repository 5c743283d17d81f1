"""Keeps known sensitive values, and the forms they usually take, out of text that leaves the process.

Nobody can know every form that quoting and escaping may give a value. Its longer runs of letters and digits stay
what they are in all of them, so those are hidden too: rather a word too many than half a password.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from confsync.text import printable

DOTS = "••••••"

_RUN = re.compile(r"[A-Za-z0-9]{8,}")


def redactor(secrets: Iterable[str | bytes]) -> Callable[[str], str]:
    """A function that replaces every known secret in a text, in plain, base64, hex, JSON and URL form."""
    forms = sorted(
        {form for secret in secrets if secret.strip() for form in _forms(secret) if form.strip()},
        key=len,
        reverse=True,
    )
    if not forms:
        return lambda text: text

    def redact(text: str) -> str:
        for form in forms:
            if form in text:
                text = text.replace(form, DOTS)
        return text

    return redact


def _forms(secret: str | bytes) -> Iterator[str]:
    data = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogateescape")
    text = data.decode("utf-8", "replace")
    yield text
    yield from (line for line in text.splitlines() if len(line) >= 4)
    yield from _RUN.findall(text)
    yield repr(text)[1:-1]
    yield printable(text)
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield quote(data, safe="")
    yield quote(data)
    yield data.hex()
    yield base64.b64encode(data).decode()
    yield base64.urlsafe_b64encode(data).decode()
    yield base64.b64encode(data).decode().rstrip("=")
