"""Deployments, StatefulSets and DaemonSets: what they want, that is, their pod template; no pod is ever made.

Sources: pkg/apis/apps/v1/defaults.go, pkg/apis/core/v1/defaults.go, pkg/apis/apps/validation of Kubernetes.
Fields of a pod deeper than those of a container are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from . import metadata
from .fields import ANY, ATOMIC_LIST, ATOMIC_MAP, BOOLEAN, INTEGER, QUANTITY, STRING, Shape, keyed, struct
from .kinds import Kind, api_object
from .status import Json, Problem, invalid_value, required

_SELECTOR = Shape("struct", {"matchExpressions": ATOMIC_LIST, "matchLabels": ATOMIC_MAP}, atomic=True)

_CONTAINER = struct(
    args=ATOMIC_LIST, command=ATOMIC_LIST, env=keyed(ANY, "name"), envFrom=ATOMIC_LIST, image=STRING,
    imagePullPolicy=STRING, lifecycle=ANY, livenessProbe=ANY, name=STRING,
    ports=keyed(ANY, "containerPort", "protocol"),
    readinessProbe=ANY, resizePolicy=ATOMIC_LIST, resources=ANY, restartPolicy=STRING, restartPolicyRules=ATOMIC_LIST,
    securityContext=ANY, startupProbe=ANY, stdin=BOOLEAN, stdinOnce=BOOLEAN, terminationMessagePath=STRING,
    terminationMessagePolicy=STRING, tty=BOOLEAN, volumeDevices=keyed(ANY, "devicePath"),
    volumeMounts=keyed(ANY, "mountPath"), workingDir=STRING,
)  # fmt: skip

_POD = struct(
    activeDeadlineSeconds=INTEGER, affinity=ANY, automountServiceAccountToken=BOOLEAN,
    containers=keyed(_CONTAINER, "name"), dnsConfig=ANY, dnsPolicy=STRING, enableServiceLinks=BOOLEAN,
    ephemeralContainers=keyed(ANY, "name"), hostAliases=keyed(ANY, "ip"), hostIPC=BOOLEAN, hostNetwork=BOOLEAN,
    hostPID=BOOLEAN, hostUsers=BOOLEAN, hostname=STRING, hostnameOverride=STRING, imagePullSecrets=keyed(ANY, "name"),
    initContainers=keyed(_CONTAINER, "name"), nodeName=STRING, nodeSelector=ATOMIC_MAP, os=ANY, overhead=ANY,
    preemptionPolicy=STRING, priority=INTEGER, priorityClassName=STRING, readinessGates=ATOMIC_LIST,
    resourceClaims=keyed(ANY, "name"), resources=ANY, restartPolicy=STRING, runtimeClassName=STRING,
    schedulerName=STRING, schedulingGates=keyed(ANY, "name"), securityContext=ANY, serviceAccount=STRING,
    serviceAccountName=STRING, setHostnameAsFQDN=BOOLEAN, shareProcessNamespace=BOOLEAN, subdomain=STRING,
    terminationGracePeriodSeconds=INTEGER, tolerations=ATOMIC_LIST,
    topologySpreadConstraints=keyed(ANY, "topologyKey", "whenUnsatisfiable"), volumes=keyed(ANY, "name"),
)  # fmt: skip

_TEMPLATE = struct(metadata=metadata.SHAPE, spec=_POD)
_ROLLING = struct(maxSurge=QUANTITY, maxUnavailable=QUANTITY, partition=INTEGER)
_STRATEGY = struct(rollingUpdate=_ROLLING, type=STRING)

_ZERO_TEMPLATE = {"metadata": {}, "spec": {"containers": None}}


class _Workload(Kind):
    group = "apps"
    counted = True
    rechecked = True
    subresources: ClassVar[tuple[str, ...]] = ("status",)

    def default(self, thing: Json) -> None:
        spec = thing.setdefault("spec", {})
        template = spec.setdefault("template", {})
        template.setdefault("metadata", {})
        _default_pod(template.setdefault("spec", {}))
        self.default_spec(spec)

    def default_spec(self, spec: Json) -> None:
        """The defaults of one kind."""

    def prepare(self, new: Json, old: Json | None) -> None:
        if old is None:
            new["status"] = self.empty_status()

    def empty_status(self) -> Json:
        """The status of a new one, before any controller saw it."""
        return {}

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        spec = thing["spec"]
        selector, template = spec.get("selector"), spec["template"]
        labels = template["metadata"].get("labels")
        if selector is None:
            yield required("spec.selector")
        elif not any(selector.values()):
            yield invalid_value(
                "spec.selector", selector, f"empty selector is invalid for {self.kind.lower()}"
            )
        wanted = (selector or {}).get("matchLabels") or {}
        if selector is None or not wanted.items() <= (labels or {}).items():
            text = "`selector` does not match template `labels`"
            yield invalid_value("spec.template.metadata.labels", labels, text)
        yield from metadata.label_problems(labels or {}, "spec.template.metadata.labels")
        found = template["metadata"].get("annotations") or {}
        yield from metadata.annotation_problems(found, "spec.template.metadata.annotations")
        yield from _container_problems(template["spec"])

    def changes_refused(self, new: Json, old: Json) -> Iterator[Problem]:
        if new["spec"].get("selector") != old["spec"].get("selector"):
            yield invalid_value("spec.selector", new["spec"].get("selector"), "field is immutable")


class Deployments(_Workload):
    plural, kind = "deployments", "Deployment"
    shape = api_object(
        spec=struct(
            minReadySeconds=INTEGER, paused=BOOLEAN, progressDeadlineSeconds=INTEGER, replicas=INTEGER,
            revisionHistoryLimit=INTEGER, selector=_SELECTOR, strategy=_STRATEGY, template=_TEMPLATE,
        ),
        status=ANY,
    )  # fmt: skip
    zero: ClassVar[Json] = {
        "metadata": {},
        "spec": {"selector": None, "strategy": {}, "template": _ZERO_TEMPLATE},
        "status": {},
    }

    def default_spec(self, spec: Json) -> None:
        for name, value in (("progressDeadlineSeconds", 600), ("replicas", 1), ("revisionHistoryLimit", 10)):
            spec.setdefault(name, value)
        _default_strategy(spec.setdefault("strategy", {}), "25%", "25%")


class StatefulSets(_Workload):
    plural, kind = "statefulsets", "StatefulSet"
    shape = api_object(
        spec=struct(
            minReadySeconds=INTEGER, ordinals=ANY, persistentVolumeClaimRetentionPolicy=ANY, podManagementPolicy=STRING,
            replicas=INTEGER, revisionHistoryLimit=INTEGER, selector=_SELECTOR, serviceName=STRING, template=_TEMPLATE,
            updateStrategy=_STRATEGY, volumeClaimTemplates=ATOMIC_LIST,
        ),
        status=ANY,
    )  # fmt: skip
    zero: ClassVar[Json] = {
        "metadata": {},
        "spec": {"selector": None, "serviceName": "", "template": _ZERO_TEMPLATE, "updateStrategy": {}},
        "status": {"replicas": 0},
    }

    def default_spec(self, spec: Json) -> None:
        retained = {"whenDeleted": "Retain", "whenScaled": "Retain"}
        spec.setdefault("persistentVolumeClaimRetentionPolicy", retained)
        for name, value in (
            ("podManagementPolicy", "OrderedReady"),
            ("replicas", 1),
            ("revisionHistoryLimit", 10),
        ):
            spec.setdefault(name, value)
        spec.setdefault("serviceName", "")
        strategy = spec.setdefault("updateStrategy", {})
        if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
            strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)

    def empty_status(self) -> Json:
        return {"availableReplicas": 0, "replicas": 0}


class DaemonSets(_Workload):
    plural, kind = "daemonsets", "DaemonSet"
    shape = api_object(
        spec=struct(
            minReadySeconds=INTEGER, revisionHistoryLimit=INTEGER, selector=_SELECTOR, template=_TEMPLATE,
            updateStrategy=_STRATEGY,
        ),
        status=ANY,
    )  # fmt: skip
    zero: ClassVar[Json] = {
        "metadata": {},
        "spec": {"selector": None, "template": _ZERO_TEMPLATE, "updateStrategy": {}},
        "status": {},
    }

    def default_spec(self, spec: Json) -> None:
        spec.setdefault("revisionHistoryLimit", 10)
        _default_strategy(spec.setdefault("updateStrategy", {}), 0, 1)

    def empty_status(self) -> Json:
        return dict.fromkeys(
            ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"), 0
        )


def _default_strategy(strategy: Json, surge: Any, unavailable: Any) -> None:
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", surge)
        rolling.setdefault("maxUnavailable", unavailable)


def _default_pod(pod: Json) -> None:
    defaults = {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
    }
    for name, value in defaults.items():
        pod.setdefault(name, value)
    pod.setdefault("securityContext", {})
    for container in [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]:
        _default_container(container)


def _default_container(container: Json) -> None:
    image = str(container.get("image") or "").rsplit("/", 1)[-1]
    tag = image.partition("@")[0].partition(":")[2] or ("" if "@" in image else "latest")
    container.setdefault("imagePullPolicy", "Always" if tag == "latest" else "IfNotPresent")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")


def _container_problems(pod: Json) -> Iterator[Problem]:
    if not pod.get("containers"):
        yield required("spec.template.spec.containers")
    for place, container in enumerate(pod.get("containers") or []):
        where = f"spec.template.spec.containers[{place}]"
        if not container.get("name"):
            yield required(f"{where}.name")
        if not container.get("image"):
            yield required(f"{where}.image")
