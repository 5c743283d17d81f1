"""A kubelet without containers: a pod's volumes are directories, and its containers processes, of this machine.

What a container sees below a volume's mount path it sees below the volume's directory here: paths in its arguments,
and in the ConfigMaps it mounts, are rewritten so. Read-only mounts, users and limits are not enforced.
"""

from __future__ import annotations

import base64
import itertools
import os
import re
import sys
from pathlib import Path
from typing import Any

from stand_ins.kustomize import Manifest, named

_IMAGES = {"confsync": [str(Path(sys.executable).with_name("confsync"))]}
"""The images there are, and their entry points."""


class Pod:
    """A pod of a Deployment. One thread at a time.

    Args:
        root: an empty directory.
        manifests: the Deployment, and the ConfigMaps and Secrets it mounts.
        deployment: its name.
        rewritten: what else is to be read otherwise in ConfigMaps, such as a port: pattern -> text.
    """

    def __init__(
        self, root: Path, manifests: list[Manifest], deployment: str, rewritten: dict[str, str] | None = None
    ) -> None:
        self.root = root
        self.deployment = named(manifests, "Deployment", deployment)
        self.spec: Any = self.deployment["spec"]["template"]["spec"]
        self._rewritten = rewritten or {}
        self._numbers = itertools.count(1)
        for volume in self.spec["volumes"]:
            (root / volume["name"]).mkdir(parents=True)
            for kind, name in (("ConfigMap", "name"), ("Secret", "secretName")):
                source = volume.get(kind[0].lower() + kind[1:])
                if source is not None:
                    self.bring(volume["name"], content(named(manifests, kind, source[name])))

    def bring(self, volume: str, files: dict[str, str]) -> None:
        """Switches a volume to these files, all at once, as kubelet does when its ConfigMap or Secret changed."""
        directory, number = self.root / volume, next(self._numbers)
        data = directory / f"..2026_{number}"
        data.mkdir()
        for name, text in files.items():
            (data / name).write_text(self._as_here(text, self._reader_of(volume)))
        (directory / "..data_tmp").symlink_to(data.name)
        (directory / "..data_tmp").rename(directory / "..data")
        for name in files:
            if not (directory / name).is_symlink():
                (directory / name).symlink_to(f"..data/{name}")
        for entry in directory.iterdir():
            if not entry.name.startswith("..") and entry.name not in files:
                entry.unlink()

    def container(self, name: str) -> Any:
        """Its specification.

        Raises:
            AssertionError: there is none.
        """
        containers = [*self.spec.get("initContainers", ()), *self.spec["containers"]]
        found = [one for one in containers if one["name"] == name]
        assert found, f"there is no container {name}"
        return found[0]

    def command(self, name: str, *instead: str) -> list[str]:
        """What runs in a container, with its environment and nothing of ours but where programs are.

        Args:
            instead: what to run there instead, as `kubectl exec` does.
        """
        container = self.container(name)
        program = [] if instead or "command" in container else _IMAGES[container["image"]]
        argv = instead or [*container.get("command", ()), *container.get("args", ())]
        path = f"{Path(sys.executable).parent}:{os.defpath}"
        environment = [f"PATH={path}", "HOME=/nowhere", *map(self._variable, container.get("env", ()))]
        here = (self._as_here(one, container) for one in argv)
        return ["/usr/bin/env", "-i", *environment, *program, *here]

    def path(self, container: str, inside: str) -> Path:
        """Where that is which a container has at this path."""
        return Path(self._as_here(inside, self.container(container)))

    def _variable(self, variable: Any) -> str:
        fields = {"metadata.name": f"{self.deployment['metadata']['name']}-0"}
        fields["metadata.namespace"] = self.deployment["metadata"].get("namespace", "default")
        return f"{variable['name']}={fields[variable['valueFrom']['fieldRef']['fieldPath']]}"

    def _reader_of(self, volume: str) -> Any:
        """The container that mounts a volume; of several one, since all must have it in the same place."""
        mounting = [
            one
            for one in self.spec["containers"]
            if volume in {mount["name"] for mount in one["volumeMounts"]}
        ]
        assert mounting, f"no container mounts {volume}"
        return mounting[0]

    def _as_here(self, text: str, container: Any) -> str:
        places = {mount["mountPath"]: str(self.root / mount["name"]) for mount in container["volumeMounts"]}
        paths = "|".join(re.escape(path) for path in sorted(places, key=len, reverse=True))
        text = re.sub(rf"(?<![\w./-])({paths})(?![\w.-])", lambda found: places[found[0]], text)
        for pattern, instead in self._rewritten.items():
            text = re.sub(pattern, instead, text)
        return text


def content(manifest: Manifest) -> dict[str, str]:
    """The files a ConfigMap or Secret has."""
    if manifest["kind"] == "ConfigMap":
        return dict(manifest["data"])
    return {key: base64.b64decode(value).decode() for key, value in manifest["data"].items()}
