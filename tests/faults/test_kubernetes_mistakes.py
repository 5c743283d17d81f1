"""One `apply` with many syncs, each with another mistake: every one fails by its own name and reason, and says what
to do; nothing of any of them is written, and the others work.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest
from stand_ins.clustered import ClusterWorkspace, data
from stand_ins.kubernetes import ApiServer, KubeAdmin
from stand_ins.kubernetes.fixtures import KUBECONFIG, Cluster

from confsync.testing.leaks import Leaks
from confsync.testing.ports import free_port

SECRET = "correct horse battery staple"
MOST = 1024 * 1024

# Sync -> what is said of it.
SAID = {
    "missing": ("there is no namespace 'nowhere'", "create it; confsync creates no namespaces"),
    "going": ("is being deleted",),
    "size": (f"its values have {MOST + 1 + len(SECRET)} bytes; {MOST} (1 MiB) is the most", "'BIG' alone"),
    "type": ("its type is Opaque, not kubernetes.io/tls, and a type cannot change", "delete secrets type"),
    "immutable": ("it is immutable, and holds something else", "delete secrets immutable"),
    "docker": ("key .dockerconfigjson is not JSON",),
    "name": ("for 'Not A Name!'", "cannot be an object's name", "at most 253 of a-z, 0-9, '-' and '.'"),
    "adopted": ("conflict: .data.PASSWORD is kept by kubectl-edit", "conflicts: take"),
    "label": ("conflict: .metadata.labels.team is kept by kubectl-edit", "conflicts: take"),
    "webhook": ("the admission webhook 'policy.example.com' refuses it",),
    "larger": ("413: it is larger than the server takes",),
    "down": ("connection refused",),
    "page": ("half an answer, or not one of an API server",),
    "token": ("401: the server does not accept our credentials", "they come from"),
    "nobody": ("403: ", "may not list secrets", "resources: [secrets], verbs: [list]"),
}  # fmt: skip


@dataclass
class Outcome:
    """What `apply` did.

    Attributes:
        errors: what it wrote on stderr.
        before: the objects that were there, by name, with their resourceVersions; after it in `after`.
    """

    workspace: ClusterWorkspace
    server: ApiServer
    status: int = 0
    output: str = ""
    errors: str = ""
    before: dict[str, tuple[str, str]] = field(default_factory=dict)
    after: dict[str, tuple[str, str]] = field(default_factory=dict)

    def line(self, sync):
        lines = [line for line in self.errors.splitlines() if f"sync {sync!r}" in line]
        assert lines, self.errors
        return lines[0]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    if os.environ.get(KUBECONFIG):
        pytest.skip("needs a server it may do anything to")
    root = tmp_path_factory.mktemp("mistakes")
    with ApiServer() as server, ApiServer() as pages:
        kubeconfig = server.kubeconfig(root / "kubeconfig")
        admin = KubeAdmin(kubeconfig)
        outcome = Outcome(ClusterWorkspace(root, Cluster(kubeconfig, admin, admin.namespace())), server)
        workspace = outcome.workspace
        workspace.values({"password": SECRET, "big": "x" * (MOST + 1), "odd": {"Not A Name!": "x"}})
        prepare(workspace, server, pages)
        workspace.config(clusters=clusters(workspace, server, pages), syncs=syncs(workspace))
        outcome.before = workspace.versions()

        done = workspace.confsync("apply")

        outcome.status, outcome.output, outcome.errors = done.returncode, done.stdout, done.stderr
        outcome.after = workspace.versions()
        yield outcome
        assert not [*server.bugs, *pages.bugs]


def prepare(workspace, server, pages):
    """What is there before."""
    admin, namespace = workspace.admin, workspace.namespace
    going = {"metadata": {"name": "going"}}
    admin.create("namespaces", "", going)
    kept = {"metadata": {"name": "kept", "finalizers": ["example.com/never"]}}
    admin.create("configmaps", "going", kept)
    admin.delete("namespaces", "", "going")
    admin.secret(namespace, "type", {"a": "b"})
    admin.secret(namespace, "immutable", {"PASSWORD": "b"}, immutable=True)
    for name in ("adopted", "label"):
        admin.secret(namespace, name, {"theirs": "x"})
    admin.edit("secrets", namespace, "adopted", {"data": {"PASSWORD": "eA=="}})
    admin.edit("secrets", namespace, "label", {"metadata": {"labels": {"team": "theirs"}}})
    refusal = f'admission webhook "policy.example.com" denied the request: {SECRET} is no password'
    server.faults.answer(400, None, refusal, name="webhook", verb="patch", times=None)
    server.faults.answer(
        413, "RequestEntityTooLarge", "limit is 3145728", name="larger", verb="patch", times=None
    )
    pages.faults.no_json(times=None)


def clusters(workspace, server, pages):
    nowhere = f"http://127.0.0.1:{free_port()}"
    down = workspace.login(server.token, "down")
    down.write_text(down.read_text().replace(server.address, nowhere))
    logins = {
        "good": workspace.kubeconfig,
        "down": down,
        "page": pages.kubeconfig(workspace.root / "page"),
        "token": workspace.login("nobody's", "token"),
        "nobody": workspace.login(server.user("nobody"), "nobody"),
    }
    return {name: {"kubeconfig": str(path), "timeout": "30s"} for name, path in logins.items()}


def syncs(workspace):
    password = {"PASSWORD": "values:password"}

    def secret(name, **fields):
        return workspace.secret(name, **{"cluster": "good", **fields})

    wanted = {
        name: data(password, secret(name)) for name in ("good", "adopted", "webhook", "larger", "immutable")
    }
    wanted |= {
        name: data(password, secret(name, cluster=name)) for name in ("down", "page", "token", "nobody")
    }
    wanted |= {
        "missing": data(password, secret("missing", namespace="nowhere")),
        "going": data(password, secret("going", namespace="going")),
        "size": data({"PASSWORD": "values:password", "BIG": "values:big"}, secret("size")),
        "type": data(
            {"tls.crt": "values:password", "tls.key": "values:password"}, secret("type", type="tls")
        ),
        "docker": data({".dockerconfigjson": "values:password"}, secret("docker", type="dockerconfigjson")),
        "name": data(password, secret("{{ each.key }}"), for_each="values.children('odd')"),
        "label": data({"OTHER": "values:password"}, secret("label", labels={"team": "ours"})),
        "file": {"template": {"inline": "x"}, "to": "out/file"},
    }
    return wanted


@pytest.mark.parametrize("mistake", SAID)
def test_a_mistake_about_kubernetes_fails_its_sync_by_name_and_says_what_to_do(outcome, mistake):
    line = outcome.line(mistake)

    for said in SAID[mistake]:
        assert said in line
    assert outcome.status == 1


def test_mistakes_about_kubernetes_write_nothing_show_nothing_and_stop_nobody_else(outcome):
    assert outcome.after.pop("good")
    assert outcome.after == outcome.before
    assert outcome.workspace.held("good") == {"PASSWORD": SECRET}
    assert outcome.workspace.read("file") == "x"
    for good in ("good", "file"):
        assert f"sync {good!r}" not in outcome.errors
    assert not [one for one in outcome.server.requests if one.name == "size" and one.method != "GET"]
    assert Leaks([SECRET]).find(outcome.output + outcome.errors) == []
