"""The sidecar's init container runs as it would in a pod: its user, no capability, nothing writable but its volumes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stand_ins.kubelet import content
from stand_ins.kustomize import Kustomize, named

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
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


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


def script(root: Path, container: Any, pod: Any, config: dict[str, str], then: str) -> str:
    """What makes the container's file system, and runs its command in it, then another."""
    holds = {**pod["securityContext"], **container["securityContext"]}
    assert holds["readOnlyRootFilesystem"], "this test has no other way"
    user, group = holds["runAsUser"], pod["securityContext"]["fsGroup"]
    lines = [f"ROOT={root}/root"]
    # The Python of a developer's machine may be in a home directory that is closed to others.
    python = Path(sys.executable)
    lines += [f"chmod a+x $ROOT{parent}" for parent in {*python.resolve().parents, *python.parents}]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    lines += [f"mkdir -p $ROOT{path}" for path in mounts]
    lines += [f"cat >$ROOT/etc/confsync/{name} <<'END'\n{text}\nEND" for name, text in config.items()]
    lines.append("mount -o remount,ro $ROOT")
    writable = [path for path, mount in mounts.items() if not mount.get("readOnly")]
    lines += [f"{AS_KUBELET_DOES.format(group=group)} $ROOT{path}" for path in writable]
    drop = "--no-new-privs --bounding-set -all --inh-caps -all"
    who = f"setpriv --reuid {user} --regid {holds['runAsGroup']} --groups {group} {drop}"
    path = f"PATH={Path(sys.executable).parent}:/usr/bin:/bin"
    runs = f"cd / && exec chroot $ROOT {who} env -i {path}"
    for command in (shlex.join([*container["command"], *container["args"]]), f"sh -c {shlex.quote(then)}"):
        lines.append(f"({runs} {command})")
    return PREPARE + "\n".join(lines)


def test_the_image_s_user_writes_into_volumes_that_are_root_s(root: Path, tmp_path: Path) -> None:
    manifests = Kustomize(tmp_path / "kubernetes").render("examples/nginx-signal")
    pod = named(manifests, "Deployment", "nginx")["spec"]["template"]["spec"]
    config = content(named(manifests, "ConfigMap", "confsync-config"))
    then = "id -u; stat -c '%u:%g %a' /files/nginx.conf /var/lib/confsync/state; touch /anywhere"

    done = unshared(script(root, pod["initContainers"][0], pod, config, then), root)

    told = done.stdout.splitlines()
    assert told[-3:] == ["10001", "10001:10001 644", "10001:10001 2700"], done.stdout + done.stderr
    assert "Read-only file system" in done.stderr
