"""A workspace whose syncs keep Secrets and ConfigMaps of a cluster; fixtures for tests of the whole product.

from stand_ins.clustered import api_server, cluster, clustered

    clustered.configure({"app": data({"PASSWORD": "values:db/password"}, clustered.secret())})
    clustered.ok("apply")
    assert clustered.held() == {"PASSWORD": "…"}
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from confsync.testing.daemon import PATIENCE, Workspace
from confsync.testing.waiting import eventually
from stand_ins.kube_sinks import marks
from stand_ins.kubernetes.fixtures import Cluster, api_server, cluster

__all__ = ["ClusterWorkspace", "api_server", "cluster", "clustered", "data", "open_workspace"]

PASSWORD = "s3cr3t-pw1"
RESTARTED = "checksum.confsync.dev/"


class ClusterWorkspace(Workspace):
    """One source, `values`, a file; one cluster, `prod`, and a namespace in it.

    Attributes:
        kubeconfig: how confsync logs in to the cluster.
        admin: who sets things up in it.
        namespace: where objects are by default.
        timeout: the cluster's: how long one try of a request may take.
    """

    timeout = "1s"

    def __init__(self, root: Path, cluster: Cluster) -> None:
        super().__init__(root)
        self.kubeconfig = cluster.kubeconfig
        self.admin = cluster.admin
        self.namespace = cluster.namespace
        self.values({"db": {"host": "db1", "password": PASSWORD}})

    # The configuration

    def secret(self, name: str = "app", **fields: Any) -> dict[str, Any]:
        """A target."""
        return {"kubernetes_secret": {"namespace": self.namespace, "name": name, **fields}}

    def config_map(self, name: str = "app", **fields: Any) -> dict[str, Any]:
        """A target."""
        return {"kubernetes_config_map": {"namespace": self.namespace, "name": name, **fields}}

    def configure(
        self,
        syncs: Mapping[str, Any],
        *,
        interval: str = "300ms",
        clusters: Mapping[str, Any] | None = None,
        kubeconfig: Path | None = None,
        **more: Any,
    ) -> None:
        """Write the configuration; without `clusters` there is one, with a login that may do everything."""
        prod = {"kubeconfig": str(kubeconfig or self.kubeconfig), "timeout": self.timeout}
        self.config(
            clusters=clusters or {"prod": prod},
            defaults={"interval": interval, **more.pop("defaults", {})},
            syncs=syncs,
            **more,
        )

    def login(self, token: str, name: str = "login") -> Path:
        """A kubeconfig for a token, which is kept in the file NAME.token; gives its path."""
        path = self.root / name
        self.admin.kubeconfig(path, token="x")
        file = self.root / f"{name}.token"
        self.replace(file, token)
        self.replace(path, path.read_text().replace("token: x", f"tokenFile: {file}"))
        return path

    # Commands

    def forget(self) -> None:
        """Lose the state directory, as a pod does that is replaced."""
        shutil.rmtree(self.state)

    def ok(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, which must succeed."""
        done = self.confsync(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    # The cluster

    def held(self, name: str = "app", namespace: str | None = None) -> dict[str, str] | None:
        """What a Secret holds, or None when it is not there."""
        return self.admin.data(namespace or self.namespace, name)

    def wait_held(
        self, held: Mapping[str, str] | None, name: str = "app", *, namespace: str | None = None,
        within: float = PATIENCE,
    ) -> None:  # fmt: skip
        """Wait until a Secret holds exactly this; None is that it is not there."""

        def check() -> bool:
            assert self.held(name, namespace) == held
            return True

        eventually(check, within)

    def marks(self, name: str = "app", resource: str = "secrets") -> dict[str, str]:
        """The annotations by which an object is known as ours."""
        metadata = self.admin.get(resource, self.namespace, name)["metadata"]
        return marks({"metadata": metadata})

    def version(self, name: str = "app", resource: str = "secrets") -> tuple[str, str]:
        """The uid and the resourceVersion of an object, which any write changes."""
        metadata = self.admin.get(resource, self.namespace, name)["metadata"]
        return metadata["uid"], metadata["resourceVersion"]

    def versions(self) -> dict[str, tuple[str, str]]:
        """Those of all Secrets there are."""
        return {
            thing["metadata"]["name"]: (thing["metadata"]["uid"], thing["metadata"]["resourceVersion"])
            for thing in self.admin.items("secrets", self.namespace)
        }

    def generation(self, name: str = "shop", resource: str = "deployments") -> int:
        """How often a workload was changed, from 1: each roll-out is one more."""
        return int(self.admin.get(resource, self.namespace, name)["metadata"]["generation"])

    def noted(self, name: str = "shop", resource: str = "deployments") -> dict[str, str]:
        """The checksums that a workload's pods were made with, by object."""
        found = self.admin.get(resource, self.namespace, name)["spec"]["template"]["metadata"]
        notes = found.get("annotations") or {}
        return {key.removeprefix(RESTARTED): note for key, note in notes.items() if key.startswith(RESTARTED)}

    def checksum(self, name: str = "app", resource: str = "secrets") -> str:
        """The checksum an object carries, as a workload has it."""
        return self.marks(name, resource)["checksum"].rpartition(".")[2]


def data(data: Mapping[str, str], to: Any, **more: Any) -> dict[str, Any]:
    """A sync of some values and its targets."""
    return {"data": dict(data), "to": to, **more}


def open_workspace(root: Path, like: ClusterWorkspace) -> ClusterWorkspace:
    """Another confsync's directory and state, with the same cluster and namespace; the caller closes it."""
    workspace = ClusterWorkspace(root, Cluster(like.kubeconfig, like.admin, like.namespace))
    workspace.timeout = like.timeout
    return workspace


@pytest.fixture
def clustered(tmp_path: Path, cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[ClusterWorkspace]:
    """A directory of its own and a namespace of its own."""
    workspace = ClusterWorkspace(tmp_path, cluster)
    yield workspace
    workspace.close()
    if "api_server" in request.fixturenames:
        request.getfixturevalue(
            "api_server"
        ).faults.clear()  # what is cleaned up now is not what they are for
