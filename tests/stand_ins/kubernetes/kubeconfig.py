"""Kubeconfig files: one cluster, one user, one context."""

from __future__ import annotations

from pathlib import Path

import yaml

from .status import Json


def write(path: Path, cluster: Json, user: Json, namespace: str) -> Path:
    """Writes one, for its owner only; gives its path."""
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    path.touch(0o600)
    path.write_text(yaml.safe_dump(content))
    return path
