"""The Kubernetes manifests render, fit together, and give no container more than it needs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml
from stand_ins.kustomize import MANIFESTS, Kustomize, Manifest, named, of_kind

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
DOCKERFILE = (MANIFESTS.parent / "Dockerfile").read_text("utf-8")


def kustomizations(kind: str) -> list[str]:
    """The directories whose kustomization.yaml is of that kind."""
    return [
        str(path.parent.relative_to(MANIFESTS))
        for path in sorted(MANIFESTS.rglob("kustomization.yaml"))
        if yaml.safe_load(path.read_text("utf-8"))["kind"] == kind
    ]


BASES = kustomizations("Kustomization")
COMPONENTS = kustomizations("Component")


@pytest.fixture
def kustomize(tmp_path: Path) -> Kustomize:
    return Kustomize(tmp_path / "kubernetes")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Manifest]]:
    """Every base, and the central one with all its components."""
    kustomize = Kustomize(tmp_path_factory.mktemp("manifests") / "kubernetes")
    bases = {name: kustomize.render(name) for name in BASES}
    components = [f"../{name}" for name in COMPONENTS if name.startswith("central/")]
    whole = kustomize.overlay("whole", {"resources": ["../central"], "components": components})
    return {**bases, "central with all components": whole}


def pods(rendered: dict[str, list[Manifest]]) -> Iterator[tuple[str, Any]]:
    """Where it stands, and the specification, of every pod."""
    for directory, manifests in rendered.items():
        for one in manifests:
            if one["kind"] in WORKLOADS:
                yield f"{directory}: {one['metadata']['name']}", one["spec"]["template"]["spec"]


def containers(rendered: dict[str, list[Manifest]]) -> Iterator[tuple[str, Any, Any]]:
    """Where it stands, the container, and its pod: of every container."""
    for where, pod in pods(rendered):
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            yield f"{where}, container {container['name']}", container, pod


def of_confsync(rendered: dict[str, list[Manifest]]) -> Iterator[tuple[str, Any, Any]]:
    return (found for found in containers(rendered) if found[1]["image"] == "confsync")


def security(container: Any, pod: Any) -> dict[str, Any]:
    """What holds for a container: its own, before what the pod says."""
    return {**pod.get("securityContext", {}), **container.get("securityContext", {})}


# What every container has to keep to


def test_there_are_containers_to_look_at(rendered: dict[str, list[Manifest]]) -> None:
    found = list(of_confsync(rendered))
    assert len(found) >= 7, f"the central one thrice, two sidecars with their init containers: {found}"


def test_every_pod_is_admitted_where_the_pod_security_standard_is_restricted(
    rendered: dict[str, list[Manifest]],
) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    for where, container, pod in containers(rendered):
        holds = security(container, pod)
        own = container["securityContext"]
        assert holds["runAsNonRoot"] is True, f"{where} may run as root"
        assert holds.get("runAsUser", 1) > 0, f"{where} runs as root"
        assert holds["seccompProfile"] == {"type": "RuntimeDefault"}, f"{where} has no seccomp profile"
        assert own["allowPrivilegeEscalation"] is False, f"{where} may gain privileges"
        assert own["capabilities"] == {"drop": ["ALL"]}, f"{where} has capabilities"
        assert not own.get("privileged"), f"{where} is privileged"
    for where, pod in pods(rendered):
        for shared in ("hostNetwork", "hostPID", "hostIPC"):
            assert not pod.get(shared), f"{where} has {shared}"
        kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
        allowed = {"configMap", "secret", "emptyDir", "projected"}
        assert kinds <= allowed, f"{where} has volumes of other kinds: {kinds - allowed}"


def test_no_container_writes_to_its_image(rendered: dict[str, list[Manifest]]) -> None:
    for where, container, _ in containers(rendered):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, f"{where} may write anywhere"


def test_every_container_says_what_it_needs_and_at_most_takes(rendered: dict[str, list[Manifest]]) -> None:
    for where, container, _ in containers(rendered):
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), f"{where} requests too little"
        assert "memory" in resources["limits"], f"{where} may take all memory"
        assert "cpu" not in resources["limits"], f"{where} is throttled, and stops in the middle of its work"
        assert container["imagePullPolicy"] == "IfNotPresent", f"{where} does not say when to pull"


def test_confsync_runs_as_the_image_s_user(rendered: dict[str, list[Manifest]]) -> None:
    user = int(re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[-1])
    for where, container, pod in of_confsync(rendered):
        holds = security(container, pod)
        assert (holds["runAsUser"], holds["runAsGroup"]) == (user, user), f"{where} runs as somebody else"


def test_confsync_may_write_where_it_has_to_and_nowhere_else(rendered: dict[str, list[Manifest]]) -> None:
    for where, container, pod in of_confsync(rendered):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        writable = {
            mount["mountPath"]: volumes[mount["name"]]
            for mount in container["volumeMounts"]
            if not mount.get("readOnly")
        }
        files = set() if "central" in where else {"/files"}
        assert writable.keys() == {"/var/lib/confsync", "/tmp"} | files, (
            f"{where} may write to {list(writable)}"
        )
        for path, volume in writable.items():
            # Secrets, and what was made of them, never reach a disk.
            assert volume["emptyDir"]["medium"] == "Memory", f"{where} has {path} on a disk"
            assert "sizeLimit" in volume["emptyDir"], f"{where} may fill the memory by {path}"


def test_memory_volumes_fit_into_the_memory_limit(rendered: dict[str, list[Manifest]]) -> None:
    for where, container, pod in of_confsync(rendered):
        mounted = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        sizes = [v["emptyDir"]["sizeLimit"] for v in pod["volumes"] if v["name"] in mounted]
        limit = mebibytes(container["resources"]["limits"]["memory"])
        assert sum(map(mebibytes, sizes)) <= limit / 2, f"{where}: its own volumes could get it killed"


def mebibytes(quantity: str) -> int:
    number, unit = quantity[:-2], quantity[-2:]
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def test_everything_mounted_is_a_volume_and_every_volume_is_mounted(
    rendered: dict[str, list[Manifest]],
) -> None:
    mounted: dict[str, set[str]] = {}
    for where, container, pod in containers(rendered):
        names = {mount["name"] for mount in container["volumeMounts"]}
        missing = names - {volume["name"] for volume in pod["volumes"]}
        assert not missing, f"{where} mounts what is no volume: {missing}"
        mounted.setdefault(where.partition(",")[0], set()).update(names)
    for where, pod in pods(rendered):
        unused = {volume["name"] for volume in pod["volumes"]} - mounted[where]
        assert not unused, f"{where} has volumes nobody mounts: {unused}"


def test_every_generated_object_that_is_mounted_is_there(rendered: dict[str, list[Manifest]]) -> None:
    for directory, manifests in rendered.items():
        there = {one["metadata"]["name"] for one in manifests if one["kind"] in ("ConfigMap", "Secret")}
        for where, pod in pods({directory: manifests}):
            for volume in pod["volumes"]:
                name = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
                if name and name.startswith("confsync"):
                    assert name in there, f"{where} mounts {name}, but there is only {there}"


def test_no_token_is_mounted_where_none_is_needed(rendered: dict[str, list[Manifest]]) -> None:
    for where, pod in pods(rendered):
        assert pod["automountServiceAccountToken"] is False, f"{where} gives every container a token"
    for where, container, pod in containers(rendered):
        projected = {v["name"] for v in pod["volumes"] if "projected" in v}
        has = projected & {mount["name"] for mount in container["volumeMounts"]}
        assert bool(has) == ("central" in where and container["image"] == "confsync"), (
            f"{where} {'has a token it does not need' if has else 'has no token'}"
        )
    for directory, manifests in rendered.items():
        for account in of_kind(manifests, "ServiceAccount"):
            assert account["automountServiceAccountToken"] is False, f"{directory}: it is mounted everywhere"


def test_every_field_is_one_that_kubernetes_knows(rendered: dict[str, list[Manifest]]) -> None:
    for directory, manifests in rendered.items():
        for one in manifests:
            unknown = list(misspelt(one, f"V1{one['kind']}", one["kind"]))
            assert not unknown, f"{directory}: {one['metadata']['name']} has {unknown}"


def misspelt(value: Any, kind: str, where: str) -> Iterator[str]:
    """Fields that the models of Kubernetes' own client do not have, and values of another type."""
    many = re.fullmatch(r"(list|dict)\[(?:str, )?(\w+)\]", kind, re.IGNORECASE)
    model = getattr(kubernetes.client, kind, None)
    plain = {"str": str, "bytes": str, "int": int, "bool": bool, "object": (str, int)}.get(
        kind, ()
    )  # object: a port, say
    if many and isinstance(value, list | dict):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from misspelt(one, many[2], f"{where}.{key}")
    elif model and isinstance(value, dict):
        kinds = {name: model.openapi_types[field] for field, name in model.attribute_map.items()}
        yield from (f"{where}.{name}" for name in value.keys() - kinds.keys())
        for name in value.keys() & kinds.keys():
            yield from misspelt(value[name], kinds[name], f"{where}.{name}")
    elif not isinstance(value, plain):
        yield f"{where}: {value!r} is no {kind}"


def test_every_port_has_a_name_kubernetes_takes(rendered: dict[str, list[Manifest]]) -> None:
    # https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports
    for where, container, _ in containers(rendered):
        for port in container.get("ports", ()):
            assert re.fullmatch(r"[a-z0-9-]{1,15}", port["name"]), f"{where}: {port['name']!r}"


def test_every_probe_asks_a_port_that_is_named(rendered: dict[str, list[Manifest]]) -> None:
    for where, container, _ in containers(rendered):
        named_ports = {port["name"] for port in container.get("ports", ())}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            if kind in container:
                port = container[kind]["httpGet"]["port"]
                assert port in named_ports, f"{where}: its {kind} asks {port}, and there is {named_ports}"


# The central Deployment


def central(rendered: dict[str, list[Manifest]]) -> tuple[Any, Any]:
    spec = named(rendered["central"], "Deployment", "confsync")["spec"]
    return spec, spec["template"]["spec"]["containers"][0]


def test_stopping_is_given_longer_than_the_daemon_gives_its_work(
    rendered: dict[str, list[Manifest]],
) -> None:
    spec, _ = central(rendered)
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 30  # run's --shutdown-timeout
    for name in ("examples/nginx-signal", "examples/prometheus-http"):
        pod = of_kind(rendered[name], "Deployment")[0]["spec"]["template"]["spec"]
        run = next(one for one in pod["containers"] if one["image"] == "confsync")["args"]
        seconds = int(run[run.index("--shutdown-timeout") + 1].removesuffix("s"))
        assert seconds < pod.get("terminationGracePeriodSeconds", 30), f"{name}: it is killed at work"


def test_one_replica_is_there_whatever_is_drained_or_rolled_out(rendered: dict[str, list[Manifest]]) -> None:
    spec, _ = central(rendered)
    budget = named(rendered["central"], "PodDisruptionBudget", "confsync")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["replicas"] > budget["minAvailable"] >= 1, "a drain would stop confsync, or never end"
    assert budget["selector"]["matchLabels"].items() <= labels.items(), "the budget is for other pods"
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, (
        "a bad configuration could stop a good pod"
    )


def test_the_daemon_is_asked_by_kubelet_whether_it_lives_and_is_ready(
    rendered: dict[str, list[Manifest]],
) -> None:
    _, container = central(rendered)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = {kind: container[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe")}
    assert asked["livenessProbe"]["path"] == "/livez"
    assert asked["readinessProbe"]["path"] == "/readyz"
    config = named(rendered["central"], "ConfigMap", "confsync-config")["data"]["confsync.yaml"]
    listens = yaml.safe_load(config)["health"]["listen"]
    assert listens == f":{ports[asked['livenessProbe']['port']]}", "it has to listen on the pod's address"


def test_a_replica_s_identity_is_its_pod(rendered: dict[str, list[Manifest]]) -> None:
    _, container = central(rendered)
    fields = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"]}
    assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


def test_the_token_is_where_a_pod_looks_for_it_and_is_exchanged(rendered: dict[str, list[Manifest]]) -> None:
    spec, container = central(rendered)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volume = next(v for v in spec["template"]["spec"]["volumes"] if v["name"] == "api-token")["projected"]
    files = {
        item["path"]
        for source in volume["sources"]
        for item in (source.get("configMap") or {}).get("items", ())
    }
    token = next(s["serviceAccountToken"] for s in volume["sources"] if "serviceAccountToken" in s)
    assert mounts["api-token"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert (token["path"], files) == ("token", {"ca.crt"})
    assert token["expirationSeconds"] <= 3600
    assert "audience" not in token, "the API server takes a token for itself only"


def test_the_namespace_refuses_pods_that_are_not_restricted(rendered: dict[str, list[Manifest]]) -> None:
    labels = named(rendered["central"], "Namespace", "confsync")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("example", ["central", "nginx-signal", "prometheus-http"])
def test_a_configuration_that_changes_makes_no_new_pods(kustomize: Kustomize, example: str) -> None:
    """The daemon takes it up; a new pod would have a new ledger, and delete nothing of a sync that is gone."""
    before = of_kind(kustomize.render(f"examples/{example}"), "Deployment")
    for name in ("values.yaml", "confsync.yaml"):
        file = kustomize.root / "examples" / example / name
        file.write_text(file.read_text() + "# changed\n")
    assert of_kind(kustomize.render(f"examples/{example}"), "Deployment") == before


def test_the_central_one_may_be_put_into_another_namespace(kustomize: Kustomize) -> None:
    components = [f"../{name}" for name in COMPONENTS if name.startswith("central/")]
    shown = {"namespace": "other", "resources": ["../central"], "components": components}
    for one in kustomize.overlay("mine", shown):
        assert one["metadata"].get("namespace", "other") == "other", f"{one['metadata']['name']} stayed"
        for subject in one.get("subjects", ()):
            assert subject["namespace"] == "other", f"{one['metadata']['name']} is bound to another account"


def test_nothing_of_the_manifests_looks_as_if_confsync_had_made_it(
    rendered: dict[str, list[Manifest]],
) -> None:
    for directory, manifests in rendered.items():
        for one in manifests:
            labels = one["metadata"].get("labels", {})
            assert labels.get("app.kubernetes.io/managed-by") != "confsync", (
                f"{directory}: it would be pruned"
            )


def test_the_role_names_the_lease_of_the_configuration(rendered: dict[str, list[Manifest]]) -> None:
    # kustomize puts the hash of a ConfigMap's name on the same name in a Role's resourceNames.
    for name in ("central", "examples/central"):
        config = named(rendered[name], "ConfigMap", "confsync-config")["data"]["confsync.yaml"]
        rules = named(rendered[name], "Role", "confsync-election")["rules"]
        lease = yaml.safe_load(config)["election"]["lease"]
        assert [lease] in [rule.get("resourceNames") for rule in rules], f"{name}: {rules}"


# The sidecar


def test_the_kernel_lets_the_sidecar_signal_the_app(rendered: dict[str, list[Manifest]]) -> None:
    pod = named(rendered["examples/nginx-signal"], "Deployment", "nginx")["spec"]["template"]["spec"]
    assert pod["shareProcessNamespace"] is True, "the pid file's number would mean another process, or none"
    users = {security(one, pod)["runAsUser"] for one in pod["containers"]}
    assert len(users) == 1, f"a process without capabilities may not signal another user's: {users}"
    mounts = {one["name"]: {m["name"] for m in one["volumeMounts"]} for one in pod["containers"]}
    assert "confsync-run" in mounts["confsync"] & mounts["nginx"], "they do not share the pid file"


def test_the_sidecar_sees_no_process_of_an_app_it_need_not_signal(
    rendered: dict[str, list[Manifest]],
) -> None:
    pod = named(rendered["examples/prometheus-http"], "Deployment", "prometheus")["spec"]["template"]["spec"]
    assert not pod.get("shareProcessNamespace")


def test_the_app_reads_what_confsync_wrote_and_cannot_change_it(rendered: dict[str, list[Manifest]]) -> None:
    for name in ("examples/nginx-signal", "examples/prometheus-http"):
        for where, container, pod in containers({name: rendered[name]}):
            if container["image"] != "confsync":
                mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
                assert mounts["confsync-files"]["readOnly"] is True, f"{where} could change its files"
                assert "confsync-state" not in mounts, f"{where} sees the ledger"
                assert pod["securityContext"]["fsGroup"] == 10001, f"{where} cannot read files of mode 0640"


# The configurations


@pytest.mark.parametrize(
    "base", ["central", "examples/central", "examples/nginx-signal", "examples/prometheus-http"]
)
def test_every_configuration_is_valid(kustomize: Kustomize, tmp_path: Path, base: str) -> None:
    files = named(kustomize.render(base), "ConfigMap", "confsync-config")["data"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    program = Path(sys.executable).with_name("confsync")
    command = [program, "check", "--config", tmp_path / "confsync.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr


def test_what_a_header_asks_of_a_configuration_is_in_every_one(rendered: dict[str, list[Manifest]]) -> None:
    """Who writes one begins with what a header or an example shows: they have to say the same."""
    loaded = {
        name: yaml.safe_load(named(manifests, "ConfigMap", "confsync-config")["data"]["confsync.yaml"])
        for name, manifests in rendered.items()
        if of_kind(manifests, "ConfigMap")
    }
    (sidecar,) = (block for block in blocks("sidecar") if "health" in block)
    expected = {
        "examples/central": loaded["central"],
        "examples/nginx-signal": sidecar,
        "examples/prometheus-http": sidecar,
    }
    for name, shown in expected.items():
        assert {field: loaded[name].get(field) for field in shown} == shown, f"{name} says otherwise"


# Roles


def test_no_rule_gives_more_than_is_named(rendered: dict[str, list[Manifest]]) -> None:
    for directory, manifests in rendered.items():
        for role in [*of_kind(manifests, "Role"), *of_kind(manifests, "ClusterRole")]:
            for rule in role["rules"]:
                given = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
                where = f"{directory}: {role['metadata']['name']}"
                assert "*" not in given, f"{where} gives everything"
                strong = {"deletecollection", "escalate", "bind", "impersonate"} & set(given)
                assert not strong, f"{where} gives {strong}"
        cluster = [one["metadata"]["name"] for one in of_kind(manifests, "ClusterRole")]
        assert cluster in ([], ["confsync-namespaces"]), f"{directory} gives {cluster} in every namespace"


def test_every_role_is_bound_to_the_account_of_the_deployment(kustomize: Kustomize) -> None:
    manifests = kustomize.render("examples/central")
    account = {"kind": "ServiceAccount", "name": "confsync", "namespace": "confsync"}
    assert named(manifests, "ServiceAccount", "confsync")["metadata"]["namespace"] == "confsync"
    for role in of_kind(manifests, "Role"):
        meta = role["metadata"]
        binding = named(manifests, "RoleBinding", meta["name"])
        assert binding["metadata"]["namespace"] == meta["namespace"]
        assert binding["roleRef"]["name"] == meta["name"]
        assert binding["subjects"] == [account], f"{meta['name']} is bound to somebody else"
    namespaces = {role["metadata"]["namespace"] for role in of_kind(manifests, "Role")}
    assert namespaces == {"confsync", "shop"}


@pytest.mark.parametrize("part", ["secrets", "config-maps", "restarts"])
def test_a_namespace_gives_only_what_it_chooses_to(kustomize: Kustomize, part: str) -> None:
    base = f"../central/target-namespace/{part}"
    manifests = kustomize.overlay("team", {"namespace": "team", "resources": [base]})
    assert {(one["kind"], one["metadata"]["name"]) for one in manifests} == {
        ("Role", f"confsync-{part}"), ("RoleBinding", f"confsync-{part}"),
    }  # fmt: skip
    assert {one["metadata"]["namespace"] for one in manifests} == {"team"}


# The headers


def blocks(directory: str) -> list[Any]:
    """What the comment at the head of a directory's kustomization.yaml shows, each parsed."""
    text = (MANIFESTS / directory / "kustomization.yaml").read_text("utf-8")
    shown = re.findall(r"^(?:#   .*\n)+", text, re.MULTILINE)
    assert shown, f"{directory}/kustomization.yaml does not say how to use it"
    return [yaml.safe_load(re.sub(r"^# ", "", block, flags=re.MULTILINE)) for block in shown]


def usage(directory: str) -> Manifest:
    """The kustomization that is shown there first."""
    shown = blocks(directory)[0]
    assert isinstance(shown, dict), f"{directory}/kustomization.yaml shows no kustomization"
    return shown


def test_every_base_says_how_to_use_it() -> None:
    for directory in [*BASES, *COMPONENTS]:
        text = (MANIFESTS / directory / "kustomization.yaml").read_text("utf-8")
        assert text.startswith("# "), f"{directory}/kustomization.yaml has no comment"


def test_the_central_overlay_that_is_shown_renders(kustomize: Kustomize) -> None:
    shown = usage("central")
    beside(kustomize, "shop", usage("central/target-namespace"))
    files = dict.fromkeys(shown["configMapGenerator"][0]["files"], "templates: .\n")
    manifests = kustomize.overlay("mine", relative(shown), **files)
    image = named(manifests, "Deployment", "confsync")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"{shown['images'][0]['newName']}:{shown['images'][0]['newTag']}"
    assert named(manifests, "ConfigMap", "confsync-config")["data"] == files
    assert {one["metadata"]["namespace"] for one in of_kind(manifests, "Role")} == {"confsync", "shop"}


@pytest.mark.parametrize("component", [name for name in COMPONENTS if name.startswith("central/")])
def test_the_components_of_the_central_one_are_used_as_is_shown(kustomize: Kustomize, component: str) -> None:
    plain = kustomize.render("central")
    manifests = kustomize.overlay("mine", relative(usage(component)))
    assert len(manifests) > len(plain)


def test_the_sidecar_overlay_that_is_shown_renders(kustomize: Kustomize) -> None:
    shown = usage("sidecar")
    example = (kustomize.root / "examples/nginx-signal/deployment.yaml").read_text()
    files = dict.fromkeys(shown["configMapGenerator"][0]["files"], "") | {"deployment.yaml": example}
    manifests = kustomize.overlay("mine", relative(shown), **files)
    pod = of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["initContainers"]] == ["confsync-init"]
    assert {one["name"] for one in pod["containers"]} == {"confsync", "nginx"}
    assert named(manifests, "ConfigMap", "confsync-config")["metadata"]["name"] == "confsync-config"


def test_only_what_is_labelled_gets_a_sidecar(kustomize: Kustomize) -> None:
    other = (kustomize.root / "examples/nginx-signal/deployment.yaml").read_text()
    other = other.replace('confsync.dev/sidecar: "true"', "app: other")
    shown = relative(usage("sidecar")) | {"configMapGenerator": []}
    manifests = kustomize.overlay("mine", shown, **{"deployment.yaml": other})
    pod = of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["containers"]] == ["nginx"]


def beside(kustomize: Kustomize, name: str, shown: Manifest) -> None:
    """An overlay that is not rendered by itself."""
    (kustomize.root / name).mkdir()
    paths = [f"../central/{path}" for path in shown["resources"]]
    text = yaml.safe_dump({**shown, "resources": paths})
    (kustomize.root / name / "kustomization.yaml").write_text(text)


def relative(shown: Manifest) -> Manifest:
    """What is shown, for an overlay that is beside the bases and not above them."""
    return {
        **shown,
        **{
            field: [path if path.endswith(".yaml") else f"../{path}" for path in shown[field]]
            for field in ("resources", "components")
            if field in shown
        },
    }


# packaging/README.md


def in_readme(kustomize: Kustomize) -> dict[str, list[Manifest]]:
    """The kustomizations the page shows, by the directory it puts them in, with local paths for remote ones."""
    page = (MANIFESTS.parent / "README.md").read_text("utf-8")
    shown = re.findall(
        r"^```yaml\n# ([a-z/]*)kustomization\.yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    found: dict[str, list[Manifest]] = {}
    for directory, text in shown:
        up = "../" * (2 if directory else 1)
        local = re.sub(
            r"https://git\.example\.com/confsync//packaging/kubernetes/(\S+)\?ref=main", rf"{up}\1", text
        )
        assert "https:" not in local, "it names something else of the project than a base"
        found.setdefault(directory, []).append(yaml.safe_load(local))
    return found


def test_the_overlays_of_the_page_render(kustomize: Kustomize) -> None:
    shown = in_readme(kustomize)
    central, sidecar = shown[""]
    (shop,) = shown["shop/"]
    (kustomize.root / "page/shop").mkdir(parents=True)
    (kustomize.root / "page/shop/kustomization.yaml").write_text(yaml.safe_dump(shop))
    files = {"confsync.yaml": "", "shop.ini.j2": ""}
    manifests = kustomize.overlay("page", central, **files)
    assert {one["metadata"]["namespace"] for one in of_kind(manifests, "Role")} == {"confsync", "shop"}
    assert named(manifests, "ConfigMap", "confsync-config")["data"] == files

    example = kustomize.root / "examples/nginx-signal"
    copied = {
        name: (example / name).read_text() for name in ("deployment.yaml", "confsync.yaml", "nginx.conf.j2")
    }
    manifests = kustomize.overlay("beside", sidecar, **copied)
    assert of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]["shareProcessNamespace"] is True


def test_the_page_tells_which_verbs_each_role_gives() -> None:
    page = (MANIFESTS.parent / "README.md").read_text("utf-8")
    for part in ("secrets", "restarts"):
        role = next(
            yaml.safe_load_all((MANIFESTS / f"central/target-namespace/{part}/role.yaml").read_text("utf-8"))
        )
        row = next(line for line in page.splitlines() if line.startswith(f"| `target-namespace/{part}`"))
        told = re.findall(
            r"\b(get|list|watch|create|patch|update|delete)\b", row.split("|")[3].partition(" of ")[0]
        )
        assert told == role["rules"][0]["verbs"]
