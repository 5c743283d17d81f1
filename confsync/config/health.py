"""What a user may write of the health endpoint."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from confsync.config.fields import Model
from confsync.fields import Timespan

_PORT = re.compile(r"[0-9]{1,5}")


def split_listen(text: str) -> tuple[str, int]:
    """Host ("" is every interface) and port of `127.0.0.1:8086`, `[::1]:8086`, `localhost:8086` or `:8086`.

    Raises:
        ValueError: it is none of these; the text says what to write.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} does not end in a port from 1 to 65535; write for example 127.0.0.1:8086")
    if host.startswith("[") and host.endswith("]") and ":" in host:
        return host[1:-1], int(port)
    if set(host) & set("[]:/@") or host != host.strip():
        raise ValueError(
            f"{text!r} is not host:port; write for example 127.0.0.1:8086, [::1]:8086, or :8086 for every interface"
        )
    return host, int(port)


def _listen(text: str) -> str:
    split_listen(text)
    return text


class Health(Model):
    """An HTTP endpoint for probes: /livez and /readyz, one line of text each, never a value or a key."""

    listen: Annotated[
        str,
        AfterValidator(_listen),
        Field(
            description="HOST:PORT; an IPv6 address in brackets; :PORT is every interface, as a kubelet's probe needs.",
            examples=["127.0.0.1:8086", "[::1]:8086", ":8086"],
        ),
    ]
    stuck: Annotated[
        Timespan,
        Field(
            description="After how long at one thing a worker counts as stuck, and /livez fails. "
            "More than a sync's checks, or a reload, may take."
        ),
    ] = 600.0
