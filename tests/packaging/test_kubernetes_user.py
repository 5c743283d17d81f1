"""Containers run as they would in a pod: their user, no capability, nothing writable but their volumes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stand_ins.common.certificates import Authority
from stand_ins.kubelet import content
from stand_ins.kubernetes import ApiServer, KubeAdmin
from stand_ins.kustomize import Kustomize, Manifest, named, of_kind

pytestmark = pytest.mark.root

PREPARE = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
"""
"""This machine's files stand for the image's; in a mount namespace of its own, which goes with its last process."""

AS_KUBELET_DOES = "mount -t tmpfs -o mode=2777,gid={group} tmpfs"
"""An emptyDir in a pod with an fsGroup is root's, of that group, setgid, and everybody may write to it.

https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""


def unshared(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty directory, where everything below may be mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    directory = tmp_path / "machine"
    directory.mkdir()
    done = unshared(PREPARE, directory)
    if done.returncode != 0:
        pytest.skip(f"a mount namespace with an overlay is not permitted: {done.stderr.strip()}")
    return directory


@dataclass(frozen=True)
class Container:
    """A container of a rendered Deployment, to be run in a file system made as kubelet makes it.

    Attributes:
        files: mount path -> name -> content, of the volumes that are only read.
    """

    pod: Any
    spec: Any
    files: dict[str, dict[str, str]]

    @property
    def security(self) -> dict[str, Any]:
        return {**self.pod["securityContext"], **self.spec["securityContext"]}

    def run(self, root: Path, *commands: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run commands in it, one after the other."""
        holds = self.security
        drop = ["--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all"]
        who = ["--reuid", holds["runAsUser"], "--regid", holds["runAsGroup"], "--groups", holds["fsGroup"]]
        variables = [f"{name}={value}" for name, value in environment.items()]
        path = f"PATH={Path(sys.executable).parent}:/usr/bin:/bin"
        into = ["chroot", f"{root}/root", "setpriv", *map(str, who), *drop, "env", "-i", path, *variables]
        runs = [f"(cd / && {shlex.join([*into, *command])})" for command in commands]
        return unshared("\n".join([PREPARE, *self._made(root), "set +e", *runs]), root)

    def _made(self, root: Path) -> Iterator[str]:
        assert self.security["readOnlyRootFilesystem"], "this test has no other way"
        mounts = [mount["mountPath"] for mount in self.spec["volumeMounts"]]
        if any(Path(sys.executable).is_relative_to(mount) for mount in mounts):
            pytest.skip(f"this Python is below {' or '.join(mounts)}, where the container has volumes")
        inside, group = f"chroot {root}/root", self.security["fsGroup"]
        # The Python of a developer's machine may be in a home directory that is closed to others.
        python = Path(sys.executable)
        yield from (f"{inside} chmod a+x {parent}" for parent in {*python.resolve().parents, *python.parents})
        for mount in self.spec["volumeMounts"]:
            yield f"{inside} mkdir -p {mount['mountPath']}"
        for path, files in self.files.items():
            for name, text in files.items():
                file = f"{path}/{name}"
                yield f"{inside} sh -c 'cat >{file}; chgrp {group} {file}; chmod 0440 {file}' <<'END'\n{text}\nEND"
        yield f"mount -o remount,ro {root}/root"
        for mount in self.spec["volumeMounts"]:
            if not mount.get("readOnly"):
                yield f"{AS_KUBELET_DOES.format(group=group)} {root}/root{mount['mountPath']}"


def pod_of(manifests: list[Manifest], deployment: str) -> Any:
    return named(manifests, "Deployment", deployment)["spec"]["template"]["spec"]


def test_the_image_s_user_writes_into_volumes_that_are_root_s(root: Path, tmp_path: Path) -> None:
    manifests = Kustomize(tmp_path / "kubernetes").render("examples/nginx-signal")
    pod = pod_of(manifests, "nginx")
    init = pod["initContainers"][0]
    config = content(named(manifests, "ConfigMap", "confsync-config"))
    container = Container(pod, init, {"/etc/confsync": config})
    look = "id -u; stat -c '%u:%g %a' /files/nginx.conf /var/lib/confsync/state; touch /anywhere"

    done = container.run(root, ["confsync", *init["args"]], ["sh", "-c", look])

    told = done.stdout.splitlines()
    assert told[-3:] == ["10001", "10001:10001 644", "10001:10001 2700"], done.stdout + done.stderr
    assert "Read-only file system" in done.stderr


def test_the_central_one_logs_in_with_the_token_it_mounts(root: Path, tmp_path: Path) -> None:
    manifests = Kustomize(tmp_path / "kubernetes").render("examples/central")
    pod = pod_of(manifests, "confsync")
    authority = Authority(tmp_path)
    with ApiServer(tls=authority.server()) as server:
        create(server, manifests, tmp_path, authority)
        account = tmp_path / "account"
        token = server.account("confsync", "confsync")
        variables = server.pod(account, token, "confsync", authority.cert)
        files = {
            "/etc/confsync": content(named(manifests, "ConfigMap", "confsync-config")),
            "/etc/confsync-source": content(named(manifests, "Secret", "confsync-source")),
            "/var/run/secrets/kubernetes.io/serviceaccount": {
                file.name: file.read_text() for file in account.iterdir()
            },
        }
        container = Container(pod, pod["containers"][0], files)

        done = container.run(
            root, ["confsync", "apply", "--config", "/etc/confsync/confsync.yaml"], **variables
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert server.get("secrets", "shop", "credentials") is not None


def create(server: ApiServer, manifests: list[Manifest], directory: Path, authority: Authority) -> None:
    """What `kubectl apply -k` would, of what confsync needs."""
    resources = {
        "Namespace": "namespaces",
        "Role": "roles",
        "RoleBinding": "rolebindings",
        "Deployment": "deployments",
    }
    admin = KubeAdmin(server.kubeconfig(directory / "admin", ca=authority.cert))
    for kind, resource in resources.items():
        for manifest in of_kind(manifests, kind):
            admin.create(resource, manifest["metadata"].get("namespace", ""), manifest)
