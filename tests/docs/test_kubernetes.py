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
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from docs.pages import a_shell, blocks_of, follow, with_own_etcd
from stand_ins.common.certificates import Authority
from stand_ins.kubernetes import ApiServer, KubeAdmin
from stand_ins.kubernetes.fixtures import KUBECONFIG, Cluster
from stand_ins.vault.fixtures import Vault, vault, vault_server

from confsync.clock import SystemClock
from confsync.config import kubernetes as options
from confsync.config.election import Election as ElectionOptions
from confsync.daemon.election import Election
from confsync.sinks.kubernetes.client import Client
from confsync.testing.daemon import Workspace
from confsync.testing.ports import free_port
from confsync.testing.waiting import eventually

__all__ = ["vault", "vault_server"]

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
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority) -> Iterator[ApiServer]:
    """The stand-in, with TLS: without that kubectl logs in as nobody."""
    if os.environ.get(KUBECONFIG):
        pytest.skip(f"{KUBECONFIG} is set, and a real cluster cannot be made to fail")
    with ApiServer(tls=authority.server()) as server:
        yield server
    assert not server.bugs, f"the stand-in for the API server failed: {server.bugs!r}"


@pytest.fixture
def kubeconfig(server: ApiServer, authority: Authority, tmp_path: Path) -> Path:
    """The stand-in's administrator's."""
    return server.kubeconfig(tmp_path / "admin.kubeconfig", ca=authority.cert)


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The real cluster when there is one, else the stand-in."""
    named = os.environ.get(KUBECONFIG)
    path: Path = Path(named) if named else request.getfixturevalue("kubeconfig")
    admin = KubeAdmin(path)
    yield Cluster(path, admin, admin.namespace())
    admin.clean_up()


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
    page = with_own_etcd(places.of(PAGE))
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


# Types


def test_a_certificate_of_vaults_becomes_a_secret_for_tls(
    vault: Vault, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", vault.token)
    mount, _ = vault.admin.pki("example.com")
    cluster.admin.workload("deployments", cluster.namespace, "web")
    (shown,) = re.findall(r"```yaml\n(sources:\n  vault:.*?)```", section("What an object holds"), re.DOTALL)
    placed = shown.replace("https://vault.example.com:8200", vault.address).replace("/pki/", f"/{mount}/")
    config = yaml.safe_load(placed.replace("shop-prod", cluster.namespace))
    workspace = Workspace(tmp_path)
    workspace.config(**config, clusters={"prod": {"kubeconfig": str(cluster.kubeconfig)}})

    done = workspace.confsync("apply")

    assert done.returncode == 0, done.stderr
    assert cluster.admin.get("secrets", cluster.namespace, "web-tls")["type"] == "kubernetes.io/tls"
    data = cluster.admin.data(cluster.namespace, "web-tls")
    certificate = x509.load_pem_x509_certificate(data["tls.crt"].encode())
    key = serialization.load_pem_private_key(data["tls.key"].encode(), None)
    assert certificate.public_key() == key.public_key()
    template = cluster.admin.get("deployments", cluster.namespace, "web")["spec"]["template"]
    assert "checksum.confsync.dev/secret.web-tls" in template["metadata"]["annotations"]


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


# What messages say

MESSAGES = [message for row in table("When something is wrong") for message in re.findall(r"`(.+?)`", row[0])]
SEEN_ELSEWHERE = {
    "there is no such host": "tests/sinks/kubernetes/test_client_retries.py",
    "another confsync writes it too": "tests/sinks/kubernetes/test_sink_conflicts.py",
    "somebody deleted it, or made it anew, meanwhile": "tests/sinks/kubernetes/test_sink_conflicts.py",
}
"""What needs a name server, or somebody who is quicker."""


def sync_of(kind: str = "secret", data: dict[str, Any] | None = None, **target: Any) -> dict[str, Any]:
    """A sync with one target, `x` in the namespace `default` unless it says otherwise."""
    target = {"namespace": "default", "name": "x", **target}
    return {"data": data or {"A": "values:a"}, "to": {f"kubernetes_{kind}": target}}


class Mistakes:
    """What a user, an administrator, and others in the cluster may have got wrong; each method gives what is said."""

    def __init__(self, server: ApiServer, kubeconfig: Path, workspace: Workspace) -> None:
        self._server = server
        self._kubeconfig = kubeconfig
        self._admin = KubeAdmin(kubeconfig)
        self._workspace = workspace
        workspace.values({"a": "b", "password": "s3cr3t-pw"})
        workspace.template("computed.j2", "{{ values('pass' ~ 'word') }}")

    def in_the_configuration(self) -> str:
        clusters: dict[str, Any] = {"prod": {}, "test": {}}
        nameless = {"template": {"inline": "x"}, "to": sync_of(cluster="prod", name="nameless")["to"]}
        password = sync_of("config_map", {"A": "values:password"}, cluster="prod")
        at_once: list[dict[str, Any]] = [
            {"nameless": nameless, "key": sync_of(data={"a b": "values:a"}, cluster="prod")},
            {"which": sync_of(), "typo": sync_of(cluster="prdo")},
            {"password": password},
        ]
        return "".join(self._said("check", syncs, clusters) for syncs in at_once)

    def in_kubeconfigs(self) -> str:
        plugin = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
        plain = self._server.address.replace("https", "http")
        few = self._server.kubeconfig(self._workspace.root / "few", token=self._server.user("few"))
        clusters: dict[str, Any] = {
            "missing": {"kubeconfig": "nowhere"},
            "context": {"kubeconfig": str(self._kubeconfig), "context": "tset"},
            "pod": {"in_cluster": True},
            "away": self._changed(cluster={"server": f"https://127.0.0.1:{free_port()}"}),
            "untrusted": self._changed(cluster={"certificate-authority-data": None}),
            "plain": self._changed(cluster={"server": plain, "certificate-authority-data": None}),
            "plugin": self._changed(user={"token": None, "exec": {**plugin, "command": "no-such-program"}}),
            "session": self._changed(user={"token": None, "exec": {**plugin, "command": "false"}}),
            "revoked": self._changed(user={"token": "revoked"}),
            "nobody": self._changed(user={"token": None}),
            "few": {"kubeconfig": str(few)},
        }
        return self._said("plan", {name: sync_of(cluster=name) for name in clusters}, clusters)

    def in_the_cluster(self) -> str:
        self._admin.create("namespaces", "", {"metadata": {"name": "going"}})
        self._admin.config_map("going", "kept", {}, metadata={"finalizers": ["example.com/kept"]})
        self._admin.call("DELETE", "/api/v1/namespaces/going")
        self._admin.secret("default", "theirs", {"A": "by-hand"})
        self._admin.secret("default", "typed", {"A": "b"}, type="example.com/other")
        self._admin.secret("default", "fixed", {"A": "by-hand"}, immutable=True)
        self._admin.secret("default", "going", {}, metadata={"finalizers": ["example.com/kept"]})
        self._admin.delete("secrets", "default", "going")
        syncs = {
            "nowhere": sync_of(namespace="nowhere"),
            "going": sync_of(namespace="going"),
            **{name: sync_of(name=name) for name in ("theirs", "typed", "fixed", "going-object")},
            "waiting": sync_of(name="going"),
            "computed": {"templates": {"a": "computed.j2"}, "to": sync_of("config_map")["to"]},
            "half": sync_of(name="half", type="tls"),
            "text": sync_of(name="text", type="dockerconfigjson", data={".dockerconfigjson": "values:a"}),
            "big": sync_of(name="big", data={"A": {"template": "{{ 'x' * 1100000 }}"}}),
            "restarts": sync_of(name="restarts", restart=["deployment/nowhere"]),
        }
        return self._said("apply", syncs, self._prod())

    def in_what_the_server_says(self) -> str:
        refusals = {
            "webhook": (400, 'admission webhook "hook.example.com" denied the request: no'),
            "policy": (422, "ValidatingAdmissionPolicy 'all' with binding 'all' denied request: no"),
            "quota": (403, 'secrets "quota" is forbidden: exceeded quota: few, requested: secrets=1'),
        }
        for name, (code, message) in refusals.items():
            self._server.faults.answer(code, "Forbidden", message, name=name, times=None)
        # It wants to be asked again when the time of all tries is up: so it is asked once.
        self._server.faults.throttled(retry_after=100, name="busy", times=None)
        self._server.faults.broken(name="broken", times=None)
        names = (*refusals, "busy", "broken")
        return self._said("plan", {name: sync_of(name=name) for name in names}, self._prod(timeout="9s"))

    def of_two_confsyncs(self) -> str:
        """What the second one says, and then the first one."""
        first, other = {"one": sync_of(name="both")}, {"other": sync_of(name="both")}
        elsewhere = Workspace(self._workspace.root / "elsewhere")
        elsewhere.values({"a": "b"})
        elsewhere.config(syncs=other, clusters=self._prod())
        self._said("apply", first, self._prod())
        said = elsewhere.confsync("apply").stderr
        self._said("apply", first, self._prod())
        return said + self._workspace.confsync("status").stdout

    def _prod(self, **more: Any) -> dict[str, Any]:
        return {"prod": {"kubeconfig": str(self._kubeconfig), **more}}

    def _changed(self, **changes: dict[str, Any]) -> dict[str, str]:
        """The options of a cluster whose kubeconfig is another in this."""
        content = yaml.safe_load(self._kubeconfig.read_text())
        for kind, change in changes.items():
            entry = content[f"{kind}s"][0]
            entry[kind] = {key: value for key, value in (entry[kind] | change).items() if value is not None}
        path = self._workspace.root / self._admin.name("kubeconfig")
        path.write_text(yaml.safe_dump(content))
        return {"kubeconfig": str(path)}

    def _said(self, command: str, syncs: dict[str, Any], clusters: dict[str, Any]) -> str:
        source = {"backend": "file", "path": "values.yaml", "sensitive": ["password"]}
        self._workspace.config(syncs=syncs, clusters=clusters, sources={"values": source})
        return self._workspace.confsync(command).stderr


def test_every_message_of_the_page_is_one_that_confsync_says(
    server: ApiServer, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    mistakes = Mistakes(server, kubeconfig, Workspace(tmp_path))

    said = mistakes.in_the_configuration() + mistakes.in_kubeconfigs() + mistakes.in_the_cluster()
    said += mistakes.in_what_the_server_says() + mistakes.of_two_confsyncs()

    for message in MESSAGES:
        assert says(message, said) or message in SEEN_ELSEWHERE, f"nobody says {message!r} in {said}"
    for message, test in SEEN_ELSEWHERE.items():
        assert message in MESSAGES
        assert message in (ROOT / test).read_text("utf-8")
    assert len(MESSAGES) > 30
    assert "s3cr3t-pw" not in said
