"""docs/kubernetes.md, followed word for word with a real etcd, a real kubectl, and a real cluster where there is one.

Only places differ from the page: ports, and the names of what others may have in the same cluster, which are as long as
the page's. And confsync is nobody's administrator here: it has the rules of the page, and no others.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs.pages import a_shell, blocks_of, follow
from stand_ins.common.certificates import Authority
from stand_ins.kubernetes import ApiServer, KubeAdmin
from stand_ins.kubernetes.fixtures import KUBECONFIG, Cluster, api_server

from confsync.clock import SystemClock
from confsync.config import kubernetes as options
from confsync.config.election import Election as ElectionOptions
from confsync.daemon.election import Election
from confsync.sinks.kubernetes.client import Client
from confsync.testing.daemon import Workspace
from confsync.testing.ports import free_port
from confsync.testing.waiting import eventually

__all__ = ["api_server"]

Rule = dict[str, Any]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
CONFSYNC = Path(sys.executable).parent / "confsync"


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def table(title: str) -> list[list[str]]:
    """The cells of the rows of a section's tables, without their heads."""
    bodies = re.findall(r"^\| ---.*\n((?:\|.*\n)+)", section(title) + "\n", re.MULTILINE)
    return [line.strip("| ").split(" | ") for body in bodies for line in body.splitlines()]


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The real cluster when there is one, else the stand-in with TLS, without which kubectl logs in as nobody."""
    named = os.environ.get(KUBECONFIG)
    if named:
        admin = KubeAdmin(Path(named))
        yield Cluster(Path(named), admin, admin.namespace())
        admin.clean_up()
        return
    directory = tmp_path_factory.mktemp("kube")
    authority = Authority(directory)
    with ApiServer(tls=authority.server()) as server:
        path = server.kubeconfig(directory / "config", ca=authority.cert)
        admin = KubeAdmin(path)
        yield Cluster(path, admin, admin.namespace())
    assert not server.bugs, f"the stand-in for the API server failed: {server.bugs!r}"


# From a cluster to Secrets that follow etcd


class Places:
    """Where in a cluster, which others may use as well, everything of the page is."""

    def __init__(self, cluster: Cluster) -> None:
        self._own = cluster.admin.unique[:4]
        self.namespaces = [f"{self._own}-prod", f"{self._own}-test"]

    def of(self, text: str) -> str:
        """Text of the page, put where this is."""
        text = re.sub(r"\bshop-(prod|test)\b", rf"{self._own}-\1", text)
        return text.replace("storefront", f"{self._own}efront")


@pytest.fixture
def places(cluster: Cluster) -> Iterator[Places]:
    places = Places(cluster)
    yield places
    for namespace in places.namespaces:
        cluster.admin.call("DELETE", f"/api/v1/namespaces/{namespace}")


def as_an_account(cluster: Cluster, rules: list[Rule], directory: Path) -> str:
    """A directory for $PATH, with a confsync that logs in as an account which may do this everywhere, and no more."""
    token = cluster.admin.service_account(cluster.namespace, "confsync", *rules, cluster=True)
    kubeconfig = cluster.admin.kubeconfig(directory / "confsync.kubeconfig", token=token)
    script = directory / "bin/confsync"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nKUBECONFIG={kubeconfig} exec {CONFSYNC} "$@"\n')
    script.chmod(0o755)
    return str(script.parent)


@pytest.mark.timeout(300)
def test_the_page_works_word_for_word_with_the_rules_it_shows(
    cluster: Cluster, places: Places, tmp_path: Path
) -> None:
    page = places.of(PAGE)
    for port in ("12379", "12380"):
        page = page.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    path = as_an_account(cluster, TARGETS + NAMESPACES, tmp_path)
    with a_shell(tmp_path, "etcdctl", "kubectl") as shell:
        setting = f"export KUBECONFIG={cluster.kubeconfig} HOME={tmp_path} PATH={path}:$PATH"
        assert shell.run(setting) == ""
        follow(shell, blocks_of(page), tmp_path)


def test_every_step_the_manual_promises_is_on_the_page() -> None:
    commands = "\n".join(block.commands for block in blocks_of(PAGE))
    for step in ("confsync check --online", "confsync plan", "confsync apply", "--show-managed-fields", "confsync run",
                 "kubectl patch secret", "kubectl delete secret", "conflicts: take", "namespace: {labels:",
                 "kubernetes_config_map:", "restart: [deployment/web]", "--allow-mass-delete"):  # fmt: skip
        assert step in commands


# What RBAC must allow

_SHOWN = {
    manifest["metadata"]["name"]: manifest["rules"]
    for text in re.findall(r"^```yml\n(.*?)^```$", section("What RBAC must allow"), re.MULTILINE | re.DOTALL)
    for manifest in yaml.safe_load_all(text)
}
TARGETS: list[Rule] = _SHOWN["confsync"]
NAMESPACES: list[Rule] = _SHOWN["confsync-namespaces"]
ELECTION: list[Rule] = _SHOWN["confsync-election"]
WITHOUT = {row[0]: re.findall(r"`(.+?)`", row[2])[0] for row in table("What RBAC must allow")}
VERBS = ("list", "watch", "get", "patch", "create", "delete")


def without(rules: list[Rule], resource: str, *verbs: str) -> list[Rule]:
    """The rules, but for these verbs on a resource; the other resources of its rule go as well."""
    cut = [
        {
            **rule,
            "verbs": [
                verb for verb in rule["verbs"] if resource not in rule["resources"] or verb not in verbs
            ],
        }
        for rule in rules
    ]
    return [rule for rule in cut if rule["verbs"]]


def says(message: str, text: str) -> bool:
    """Whether a text has a message of the page, in which … is anything."""
    return bool(re.search(".+".join(re.escape(part) for part in message.split("…")), text))


class Refused:
    """Syncs that write to a namespace each, in which their account lacks one verb; all others it has.

    Args:
        resource: secrets or configmaps.
    """

    def __init__(self, cluster: Cluster, workspace: Workspace, resource: str) -> None:
        self._admin = cluster.admin
        self._home = cluster.namespace
        self._workspace = workspace
        self._resource = resource
        self._kind = {"secrets": "kubernetes_secret", "configmaps": "kubernetes_config_map"}[resource]
        token = self._admin.service_account(self._home, "confsync")
        self._admin.kubeconfig(workspace.root / "kubeconfig", token=token)
        self.syncs = {verb: self._sync(self._namespace(resource, verb)) for verb in VERBS}
        for workload in ("deployments", "statefulsets", "daemonsets"):
            namespace = self._namespace(workload, "patch")
            self._admin.workload(workload, namespace, "web")
            self.syncs[workload] = self._sync(namespace, restart=[f"{workload}/web"])
        selected = self._admin.namespace({"team": self._admin.unique})
        self._grant(selected, TARGETS)
        self._admin.allow(self._home, "confsync", *without(NAMESPACES, "namespaces", "watch"), cluster=True)
        self.syncs["namespaces"] = self._sync({"labels": {"team": self._admin.unique}})
        self._theirs(self.namespace_of("get"))

    def apply(self) -> str:
        """What it says on standard error."""
        self._workspace.values({"a": "b"})
        self._workspace.config(syncs=self.syncs, clusters={"prod": {"kubeconfig": "kubeconfig"}})
        return self._workspace.confsync("apply").stderr

    def namespace_of(self, sync: str) -> str:
        return str(self.syncs[sync]["to"][self._kind]["namespace"])

    def _namespace(self, resource: str, verb: str) -> str:
        """One in which everything is allowed but this."""
        namespace: str = self._admin.namespace()
        self._grant(namespace, without(TARGETS, resource, verb))
        return namespace

    def _grant(self, namespace: str, rules: list[Rule]) -> None:
        role = {"metadata": {"name": "confsync"}, "rules": rules}
        self._admin.create("roles", namespace, role)
        bound = {
            "metadata": {"name": "confsync"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "confsync"},
            "subjects": [{"kind": "ServiceAccount", "name": "confsync", "namespace": self._home}],
        }
        self._admin.create("rolebindings", namespace, bound)

    def _sync(self, namespace: Any, **more: Any) -> Any:
        target = {"namespace": namespace, "name": "settings", **more}
        return {"data": {"A": "values:a"}, "to": {self._kind: target}}

    def _theirs(self, namespace: str) -> None:
        """An object that is there before confsync is."""
        make = self._admin.secret if self._resource == "secrets" else self._admin.config_map
        make(namespace, "settings", {"B": "c"})


@pytest.mark.parametrize("resource", ["secrets", "configmaps"])
def test_each_verb_of_a_target_is_missed_with_the_message_of_the_page(
    cluster: Cluster, tmp_path: Path, resource: str
) -> None:
    workspace = Workspace(tmp_path)
    refused = Refused(cluster, workspace, resource)
    messages = {verb: WITHOUT[verb].replace("secrets", resource) for verb in VERBS}
    workloads = {
        kind: WITHOUT["patch workloads"].replace("deployments", kind)
        for kind in ("deployments", "statefulsets", "daemonsets")
    }

    said = refused.apply()
    del refused.syncs["delete"]
    said += refused.apply()

    for name, message in (messages | workloads).items():
        if name != "watch":
            assert says(message, said), f"nobody says {message!r} in {said}"
    with workspace.daemon() as daemon:
        daemon.wait_log(messages["watch"], watch=f"{resource} in namespace {refused.namespace_of('watch')}")
        daemon.wait_log(WITHOUT["watch namespaces"], watch="namespaces of cluster prod")


def test_namespaces_that_may_not_be_listed_are_missed_with_the_message_of_the_page(
    cluster: Cluster, tmp_path: Path
) -> None:
    token = cluster.admin.service_account(cluster.namespace, "confsync", *TARGETS, cluster=True)
    cluster.admin.kubeconfig(tmp_path / "kubeconfig", token=token)
    workspace = Workspace(tmp_path)
    workspace.values({"a": "b"})
    target = {"namespace": {"labels": {"team": "none"}}, "name": "settings"}
    syncs = {"selected": {"data": {"A": "values:a"}, "to": {"kubernetes_secret": target}}}
    workspace.config(syncs=syncs, clusters={"prod": {"kubeconfig": "kubeconfig"}})

    said = workspace.confsync("plan").stderr

    assert says(WITHOUT["list namespaces"], said)


@pytest.mark.parametrize("verb", ["get", "create", "update", "watch"])
def test_each_verb_of_a_lease_is_missed_with_the_message_of_the_page(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    caplog.set_level(logging.WARNING, "confsync.daemon")
    row = WITHOUT["watch leases" if verb == "watch" else "get, create, update leases"]
    first, other = (
        standing(cluster, tmp_path, ELECTION),
        standing(cluster, tmp_path, without(ELECTION, "leases", verb)),
    )
    if verb in ("get", "watch"):  # which is asked of a lease that is there
        first.start()
        eventually(lambda: first.leading)

    try:
        other.start()

        eventually(lambda: row in caplog.text)
    finally:
        other.stop()
        first.stop()


def standing(cluster: Cluster, directory: Path, rules: list[Rule]) -> Election:
    """A replica with an account of its own that has these rules in the Lease's namespace."""
    name = cluster.admin.name("replica")
    token = cluster.admin.service_account(cluster.namespace, name, *rules)
    kubeconfig = cluster.admin.kubeconfig(directory / name, token=token)
    client = Client("prod", options.Cluster(kubeconfig=str(kubeconfig)), directory)
    wanted = ElectionOptions(lease="confsync", retry="50ms")
    return Election(client, cluster.namespace, wanted, SystemClock(), lambda: None, lambda: None)


def test_the_manifests_have_the_rules_of_the_page() -> None:
    assert rules_of("central/target-namespace/secrets/role.yaml") == granted(TARGETS, "secrets")
    assert rules_of("central/target-namespace/config-maps/role.yaml") == granted(TARGETS, "configmaps")
    workloads = ("deployments", "statefulsets", "daemonsets")
    assert rules_of("central/target-namespace/restarts/role.yaml") == granted(TARGETS, *workloads)
    assert rules_of("central/namespace-selector/cluster-role.yaml") == granted(NAMESPACES, "namespaces")
    assert rules_of("central/election.yaml") == granted(ELECTION, "leases")


def rules_of(path: str) -> set[tuple[str, str, str]]:
    role = next(yaml.safe_load_all((ROOT / "packaging/kubernetes" / path).read_text("utf-8")))
    return granted(role["rules"], *{resource for rule in role["rules"] for resource in rule["resources"]})


def granted(rules: list[Rule], *resources: str) -> set[tuple[str, str, str]]:
    """Group, resource and verb of what the rules allow on these resources."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if resource in resources
        for verb in rule["verbs"]
    }
