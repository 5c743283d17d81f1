"""`kubectl kustomize`, run on a copy of packaging/kubernetes, so that a test may put overlays of its own beside it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).parents[2] / "packaging/kubernetes"

Manifest = dict[str, Any]


class Kustomize:
    """Renders directories below `root`, which is a copy of packaging/kubernetes.

    Raises:
        pytest.skip.Exception: kubectl, whose kustomize is used, is not installed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kubectl = shutil.which("kubectl")
        if self._kubectl is None:
            pytest.skip("kubectl is not installed, whose kustomize renders the manifests")
        shutil.copytree(MANIFESTS, root, dirs_exist_ok=True)

    def render(self, directory: str) -> list[Manifest]:
        """What `kubectl apply -k DIRECTORY` would send.

        Raises:
            AssertionError: it cannot be rendered, or only with a warning; says why.
        """
        assert self._kubectl is not None
        command = [self._kubectl, "kustomize", str(self.root / directory)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, f"{directory}: {done.stderr}"
        assert not done.stderr, f"{directory}: {done.stderr}"
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    def overlay(self, name: str, kustomization: Manifest, **files: str) -> list[Manifest]:
        """What an overlay in a directory of its own beside the others renders to."""
        directory = self.root / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        for file, text in files.items():
            (directory / file).write_text(text)
        return self.render(name)


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [one for one in manifests if one["kind"] == kind]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one of that kind and name.

    Raises:
        AssertionError: there is none.
    """
    names = [one["metadata"]["name"] for one in of_kind(manifests, kind)]
    assert name in names, f"there is no {kind} {name}, only {names}"
    return of_kind(manifests, kind)[names.index(name)]
