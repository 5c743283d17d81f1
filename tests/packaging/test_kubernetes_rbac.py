"""The central Deployment's roles are enough for everything it does, and none of their verbs is too many."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from stand_ins.kubelet import Pod, content
from stand_ins.kubernetes.fixtures import Cluster, api_server, cluster
from stand_ins.kustomize import MANIFESTS, Kustomize, Manifest, named

from confsync.testing.daemon import DaemonProcess
from confsync.testing.ports import free_port
from confsync.testing.waiting import eventually

__all__ = ["api_server", "cluster"]

PATIENCE = 60.0
RESOURCES = {
    "Role": "roles", "RoleBinding": "rolebindings", "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings", "ServiceAccount": "serviceaccounts",
}  # fmt: skip
ROLES = {
    "secrets": "central/target-namespace/secrets/role.yaml",
    "configmaps": "central/target-namespace/config-maps/role.yaml",
    "deployments": "central/target-namespace/restarts/role.yaml",
    "leases": "central/election.yaml",
    "namespaces": "central/namespace-selector/cluster-role.yaml",
}
"""Which file gives verbs on a resource."""


def verbs(resource: str) -> list[str]:
    role = next(yaml.safe_load_all((MANIFESTS / ROLES[resource]).read_text("utf-8")))
    return sorted({verb for rule in role["rules"] if resource in rule["resources"] for verb in rule["verbs"]})


@dataclass(frozen=True)
class Rendered:
    """What the overlays render to.

    Attributes:
        example: examples/central.
        roles: as the headers say: of an overlay with the Deployment in the namespace `home`, and of one that gives it
            the namespace `team`.
    """

    example: list[Manifest]
    roles: list[Manifest]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    kustomize = Kustomize(tmp_path_factory.mktemp("rbac") / "kubernetes")
    home: Manifest = {"namespace": "home", "resources": ["../central"]}
    kustomize.overlay("system", home | {"components": ["../central/namespace-selector"]})
    subject = json.dumps([{"op": "replace", "path": "/subjects/0/namespace", "value": "home"}])
    patches = [{"target": {"kind": "RoleBinding"}, "patch": subject}]
    team: Manifest = {"namespace": "team", "resources": ["../central/target-namespace"], "patches": patches}
    kustomize.overlay("team", team)
    roles = kustomize.overlay("both", {"resources": ["../system", "../team"]})
    return Rendered(kustomize.render("examples/central"), [one for one in roles if one["kind"] in RESOURCES])


class Central:
    """examples/central in namespaces of this test's own, with a process of this machine as its pod.

    Attributes:
        home: confsync's own namespace.
        shop: the one it writes to.
    """

    def __init__(self, root: Path, cluster: Cluster, rendered: Rendered) -> None:
        self.root = root
        self.admin = cluster.admin
        self.home = cluster.namespace
        self.team = self.admin.name("team")
        self.shop = self.admin.namespace({"team": self.team})
        self.health = free_port()
        self.files = content(named(rendered.example, "ConfigMap", "confsync-config"))
        self._rendered = rendered
        self._given: list[dict[str, str]] = []
        self._numbers = itertools.count()
        self._pod: Pod | None = None

    def grant(self, resource: str = "", verb: str = "") -> None:
        """Create the account and its roles, but for one verb on one resource."""
        for manifest in deepcopy(self._rendered.roles):
            for rule in manifest.get("rules", ()):
                if resource in rule["resources"]:
                    rule["verbs"] = [one for one in rule["verbs"] if one != verb]
            if "rules" in manifest:
                manifest["rules"] = [rule for rule in manifest["rules"] if rule["verbs"]]
            self._create(manifest)
        token = self.admin.account_token(self.home, "confsync")
        eventually(lambda: all(self._allowed(one, token) for one in self._given), PATIENCE)

    def _allowed(self, attributes: dict[str, str], token: str) -> bool:
        """Whether it is so already: a real server needs a moment to hear of new roles."""
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        review = {**kind, "spec": {"resourceAttributes": attributes}}
        return bool(self.admin.must("POST", path, review, token=token)["status"]["allowed"])

    def _create(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        namespace = {"home": self.home, "team": self.shop}.get(metadata.get("namespace"), "")
        metadata.pop("namespace", None)
        for subject in manifest.get("subjects", ()):
            assert subject.pop("namespace") == "home", f"{metadata['name']} is bound to another account"
            subject["namespace"] = self.home
        if not namespace:  # tests share the cluster
            metadata["name"] = f"{self.home}-{metadata['name']}"
            manifest.get("roleRef", {})["name"] = metadata["name"]
        self.admin.create(RESOURCES[manifest["kind"]], namespace, manifest)
        for rule in manifest.get("rules", ()):
            what = {"group": rule["apiGroups"][0], "resource": rule["resources"][0], "verb": rule["verbs"][0]}
            self._given.append({**what, "namespace": namespace, "name": rule.get("resourceNames", [""])[0]})

    @property
    def pod(self) -> Pod:
        """The pod, logged in as its service account."""
        self._pod = self._pod or self.replica()
        return self._pod

    def replica(self) -> Pod:
        """One more pod of the Deployment."""
        number = next(self._numbers)
        token = self.admin.account_token(self.home, "confsync")
        kubeconfig = self.root / f"kubeconfig-{number}"
        rewritten = {
            "in_cluster: true": f"kubeconfig: {self.admin.kubeconfig(kubeconfig, token=token)}",
            "namespace: shop": f"namespace: {self.shop}",
            "election: {": f"election: {{namespace: {self.home}, retry: 100ms, ",
            "['\"]:8086['\"]": f'":{self.health if number == 0 else free_port()}"',
        }
        return Pod(self.root / f"pod-{number}", self._rendered.example, "confsync", rewritten)

    def without(self, sync: str) -> None:
        """Take a sync out of the configuration."""
        config = yaml.safe_load(self.files["confsync.yaml"])
        del config["syncs"][sync]
        self.configure(config)

    def configure(self, config: dict[str, Any]) -> None:
        text = yaml.safe_dump(config, default_flow_style=True, width=10_000)
        self.pod.bring("config", {**self.files, "confsync.yaml": text})

    def apply(self) -> subprocess.CompletedProcess[str]:
        command = self.pod.command("confsync", "confsync", "apply", "--config", "/etc/confsync/confsync.yaml")
        return subprocess.run(command, capture_output=True, text=True, timeout=180)

    @contextmanager
    def run(self, pod: Pod | None = None) -> Iterator[DaemonProcess]:
        with DaemonProcess((pod or self.pod).command("confsync"), self.root) as daemon:
            daemon.wait_log("confsync is running")
            yield daemon

    def checksums(self) -> str:
        """What a roll-out would change of the Deployment."""
        template = self.admin.get("deployments", self.shop, "shop")["spec"]["template"]
        return json.dumps(template["metadata"].get("annotations"), sort_keys=True)

    def config_map(self, name: str) -> Any:
        found = self.admin.find("configmaps", self.shop, name)
        return found and found["data"]


@pytest.fixture
def central(cluster: Cluster, tmp_path: Path, rendered: Rendered) -> Central:
    central = Central(tmp_path, cluster, rendered)
    central.admin.workload("deployments", central.shop, "shop")
    return central


WANTED = {"DB_USER": "shop", "DB_PASSWORD": "change-me"}


def test_everything_works_with_exactly_these_rules(central: Central) -> None:
    central.grant()
    before = central.checksums()
    with central.run() as daemon:
        eventually(lambda: central.admin.data(central.shop, "credentials") == WANTED, PATIENCE)
        eventually(lambda: "db.shop" in (central.config_map("settings") or {}).get("shop.ini", ""), PATIENCE)
        eventually(lambda: central.checksums() != before, PATIENCE)
        eventually(lambda: answers(central.health, "/readyz"), PATIENCE)
        holder = central.admin.get("leases", central.home, "confsync")["spec"]["holderIdentity"]
        assert holder.startswith("confsync-0_")

        hand = {"stringData": {"DB_PASSWORD": "typed"}}
        central.admin.edit("secrets", central.shop, "credentials", hand)
        eventually(lambda: central.admin.data(central.shop, "credentials") == WANTED, PATIENCE)

        central.without("settings")
        eventually(lambda: central.config_map("settings") is None, PATIENCE)
    assert ": 403: " not in daemon.log()
    assert not central.admin.get("leases", central.home, "confsync")["spec"].get("holderIdentity")


def test_who_stands_by_takes_over_with_exactly_these_rules(central: Central) -> None:
    central.grant()
    with central.run() as leader:
        leader.wait_log("this replica leads")
        with central.run(central.replica()) as other:
            other.wait_log("standing by")
            leader.stop()
            other.wait_log("this replica leads")
            hand = {"stringData": {"DB_PASSWORD": "typed"}}
            central.admin.edit("secrets", central.shop, "credentials", hand)
            eventually(lambda: central.admin.data(central.shop, "credentials") == WANTED, PATIENCE)
    assert ": 403: " not in other.log()


@pytest.mark.parametrize("resource", ["secrets", "configmaps"])
@pytest.mark.parametrize("verb", ["list", "patch", "create"])
def test_what_writes_an_object_is_needed(central: Central, resource: str, verb: str) -> None:
    central.grant(resource, verb)
    done = central.apply()
    assert done.returncode == 1, "it worked without"
    assert rule(resource, verb) in done.stderr


@pytest.mark.parametrize("resource", ["secrets", "configmaps"])
def test_what_reads_an_object_that_is_there_already_is_needed(central: Central, resource: str) -> None:
    central.grant(resource, "get")
    make = central.admin.secret if resource == "secrets" else central.admin.config_map
    make(central.shop, "credentials" if resource == "secrets" else "settings", {"theirs": "x"})
    done = central.apply()
    assert done.returncode == 1, "it worked without"
    assert rule(resource, "get") in done.stderr


@pytest.mark.parametrize(("resource", "sync"), [("secrets", "credentials"), ("configmaps", "settings")])
def test_what_deletes_an_object_is_needed(central: Central, resource: str, sync: str) -> None:
    central.grant(resource, "delete")
    assert central.apply().returncode == 0
    central.without(sync)
    done = central.apply()
    assert done.returncode == 1, "it worked without"
    assert rule(resource, "delete") in done.stderr


@pytest.mark.parametrize("resource", ["secrets", "configmaps"])
def test_what_follows_objects_is_needed(central: Central, resource: str) -> None:
    central.grant(resource, "watch")
    with central.run() as daemon:
        daemon.wait_log("", error=rule(resource, "watch"))


@pytest.mark.parametrize("verb", verbs("deployments"))
def test_what_rolls_out_a_workload_is_needed(central: Central, verb: str) -> None:
    central.grant("deployments", verb)
    done = central.apply()
    assert done.returncode == 1, "it worked without"
    assert rule("deployments", verb, "apps") in done.stderr


@pytest.mark.parametrize("verb", verbs("leases"))
def test_what_an_election_takes_is_needed(central: Central, verb: str) -> None:
    central.grant("leases", verb)
    if verb == "watch":  # which is for who stands by
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = {"holderIdentity": "other", "leaseDurationSeconds": 60, "renewTime": now}
        central.admin.create("leases", central.home, {"metadata": {"name": "confsync"}, "spec": spec})
    with central.run() as daemon:
        daemon.wait_log("", error=rule("leases", verb, "coordination.k8s.io"))


@pytest.mark.parametrize("verb", verbs("namespaces"))
def test_what_finds_namespaces_by_label_is_needed(central: Central, verb: str) -> None:
    central.grant("namespaces", verb)
    central.configure(by_label(central))
    with central.run() as daemon:
        daemon.wait_log("", error=rule("namespaces", verb))


def test_namespaces_are_found_by_label_with_exactly_these_rules(central: Central) -> None:
    central.grant()
    central.configure(by_label(central))
    done = central.apply()
    assert done.returncode == 0, done.stderr
    assert central.admin.data(central.shop, "credentials") == WANTED


def test_every_verb_that_is_given_is_tested_here() -> None:
    for resource in ("secrets", "configmaps"):
        assert verbs(resource) == ["create", "delete", "get", "list", "patch", "watch"]


def by_label(central: Central) -> dict[str, Any]:
    config = yaml.safe_load(central.files["confsync.yaml"])
    for sync in config["syncs"].values():
        (target,) = sync["to"].values()
        target["namespace"] = {"labels": {"team": central.team}}
    return dict(config)


def rule(resource: str, verb: str, group: str = "") -> str:
    return f'{{apiGroups: ["{group}"], resources: [{resource}], verbs: [{verb}]}}'


def answers(port: int, path: str) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:  # another status, or nobody listens yet
        return False
