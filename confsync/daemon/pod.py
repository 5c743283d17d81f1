"""Who and where this process is, where it runs in a pod."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from confsync.errors import ConfigError

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def namespace(mounted: Path = _NAMESPACE) -> str:
    """The namespace of this pod: $POD_NAMESPACE, else what the kubelet has mounted with the service account.

    Raises:
        ConfigError: neither is there.
    """
    named = os.environ.get("POD_NAMESPACE")
    if named:
        return named
    try:
        return mounted.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as exc:
        raise ConfigError(
            "election: it is not known which namespace the lease is in",
            hint="name it: election: {namespace: NAME}; only in a pod it is known by itself",
        ) from exc


def identity(name: str | None = None) -> str:
    """An identity no other process has: not a replica of the same name, nor the process that was here before.

    Args:
        name: what it begins with; by default $POD_NAME, else the host's name.
    """
    return f"{name or os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(8)}"
