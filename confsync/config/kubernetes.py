"""What a user may write of Kubernetes: clusters, and Secrets and ConfigMaps as targets."""

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from confsync.config.fields import Model, nothing
from confsync.fields import Timespan

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_ENDS = "beginning and ending with a letter or digit"
_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
QUALIFIED = (
    "up to 63 letters, digits, '-', '_' and '.', after a domain and a / if you like (example.com/team)"
)
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")

_WORKLOADS = {
    "deployment": "Deployment", "deploy": "Deployment", "statefulset": "StatefulSet", "sts": "StatefulSet",
    "daemonset": "DaemonSet", "ds": "DaemonSet",
}  # fmt: skip
"""What kubectl calls them, shortened or in the plural -> the kind."""


def name_problem(name: str) -> str | None:
    """Why an object cannot have this name, or None. A name is a DNS-1123 subdomain, by the Kubernetes API's rules."""
    if len(name) <= 253 and _SUBDOMAIN.fullmatch(name):
        return None
    return f"{name[:80]!r} cannot be an object's name: at most 253 of a-z, 0-9, '-' and '.', {_ENDS}"


def namespace_problem(name: str) -> str | None:
    """Why a namespace cannot have this name, or None. A name is a DNS-1123 label."""
    if len(name) <= 63 and _LABEL.fullmatch(name):
        return None
    return f"{name[:80]!r} cannot be a namespace: at most 63 of a-z, 0-9 and '-', {_ENDS}"


def data_key_problem(key: str) -> str | None:
    """Why a Secret or ConfigMap cannot have this key, or None (IsConfigMapKey of the Kubernetes API)."""
    if len(key) <= 253 and _DATA_KEY.fullmatch(key) and key != "." and not key.startswith(".."):
        return None
    return f"{key[:80]!r} cannot be a key of a Secret or ConfigMap: at most 253 letters, digits, '-', '_' and '.'"


def label_problem(name: str, value: str) -> str | None:
    """Why nothing can have this label, or None (apimachinery's IsQualifiedName and IsValidLabelValue)."""
    if not is_qualified(name):
        return f"{name[:80]!r} cannot be a label's name: {QUALIFIED}"
    if value and (len(value) > 63 or not _PART.fullmatch(value)):
        wanted = f"up to 63 letters, digits, '-', '_' and '.', {_ENDS}"
        return f"label {name}: {value[:80]!r} cannot be a label's value: {wanted}"
    return None


def is_qualified(name: str) -> bool:
    """Whether a name may be that of a label or annotation: `name`, or `domain/name`."""
    domain, slash, last = name.rpartition("/")
    if slash and name_problem(domain) is not None:
        return False
    return len(last) <= 63 and _PART.fullmatch(last) is not None


def _possible_labels(labels: dict[str, str]) -> dict[str, str]:
    problem = next((problem for one in labels.items() if (problem := label_problem(*one))), None)
    if problem:
        raise ValueError(problem)
    return labels


Labels = Annotated[dict[str, str], AfterValidator(_possible_labels)]

MANAGED_BY = "app.kubernetes.io/managed-by"
"""The label of all that is ours; https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/"""

PREFIX = "confsync.dev/"
"""What the annotations that confsync sets for itself begin with."""


class Cluster(Model):
    """A Kubernetes cluster, and how to log in to it.

    Without `in_cluster` and `kubeconfig`: as a pod where there is a service account, else as kubectl does.
    """

    kubeconfig: Annotated[
        str | None, Field(description="A kubeconfig file; by default $KUBECONFIG, or ~/.kube/config.")
    ] = None
    context: Annotated[
        str | None, Field(description="The kubeconfig's context; by default its current one.")
    ] = None
    in_cluster: Annotated[
        bool | None, Field(description="Log in with the pod's service account, or (false) never do.")
    ] = None
    timeout: Annotated[
        Timespan,
        Field(description="How long one request may take. It is tried again for up to three times as long."),
    ] = 30.0
    requests_per_second: Annotated[
        float, Field(gt=0, description="How many requests confsync sends at most, on average.")
    ] = 400.0
    burst: Annotated[int, Field(ge=1, description="How many it may send at once.")] = 800

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if self.in_cluster and (self.kubeconfig is not None or self.context is not None):
            raise ValueError("in_cluster logs in as the pod; kubeconfig and context do not go with it")
        return self


class NamespaceSelector(Model):
    """Every namespace that has these labels, also one that appears later."""

    labels: Annotated[Labels | None, Field(min_length=1, description="Labels it must have.")] = None
    selector: Annotated[
        str | None,
        StringConstraints(strip_whitespace=True, min_length=1),
        Field(description="A selector, as for kubectl: team=shop,env in (a,b)."),
    ] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.labels is None) == (self.selector is None):
            raise ValueError("give exactly one of labels, selector")
        return self

    @property
    def text(self) -> str:
        """The selector as the API takes it."""
        return self.selector or ",".join(
            f"{name}={value}" for name, value in sorted((self.labels or {}).items())
        )


class Workload(Model):
    """`deployment/shop`: something whose pods are replaced when its pod template changes."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


def _workload(value: object) -> object:
    if not isinstance(value, str):
        return value
    kind, slash, name = value.partition("/")
    known = _WORKLOADS.get(kind.lower()) or _WORKLOADS.get(kind.lower().removesuffix("s"))
    if not slash or known is None or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name):
        raise ValueError(f"{value!r} is not deployment/NAME, statefulset/NAME or daemonset/NAME")
    return {"kind": known, "name": name}


def _listed(namespace: str | list[str] | NamespaceSelector) -> list[str]:
    if isinstance(namespace, NamespaceSelector):
        return []
    return [namespace] if isinstance(namespace, str) else namespace


class KubernetesTarget(Model):
    """What Secrets and ConfigMaps have in common. *Placed*, it has one namespace and a final name."""

    kind: ClassVar[str]

    cluster: Annotated[
        str | None, Field(description="One of `clusters`; by default the only one, or `default`.")
    ] = None
    namespace: Annotated[
        str | list[str] | NamespaceSelector,
        Field(
            description="A namespace, several, or {labels: …} or {selector: …} for all that match, also later ones."
        ),
    ]
    name: Annotated[
        str,
        Field(min_length=1, description="The object's name. Under for_each a template: `{{ each.key }}`."),
    ]
    labels: Annotated[Labels, Field(description="Labels to set.")] = Field(default_factory=dict)
    annotations: Annotated[dict[str, str], Field(description="Annotations to set.")] = Field(
        default_factory=dict
    )
    immutable: Annotated[
        bool,
        Field(
            description="Never change the object: each content gets one of its own, NAME-HASH, and those no longer "
            "wanted go."
        ),
    ] = False
    conflicts: Annotated[
        Literal["report", "take"] | None,
        Field(
            description="What to do where somebody else has set a field we want: report it, or take it. By default "
            "take in objects confsync created, report in those it adopted."
        ),
    ] = None
    deletion: Annotated[
        Literal["delete", "retain"],
        Field(description="What becomes of the object when it is no longer wanted."),
    ] = "delete"
    restart: Annotated[
        list[Annotated[Workload, BeforeValidator(_workload, json_schema_input_type=str)]],
        Field(
            description="Workloads in the same namespace to roll out when the content changed: deployment/shop."
        ),
    ] = Field(default_factory=nothing)

    @field_validator("namespace")
    @classmethod
    def _some_namespace(
        cls, namespace: str | list[str] | NamespaceSelector
    ) -> str | list[str] | NamespaceSelector:
        names = _listed(namespace)
        if not names and not isinstance(namespace, NamespaceSelector):
            raise ValueError("name a namespace")
        problem = next(
            (problem for name in names if "{" not in name and (problem := namespace_problem(name))), None
        )
        if problem:
            raise ValueError(problem)
        return namespace

    @field_validator("name")
    @classmethod
    def _possible_name(cls, name: str) -> str:
        problem = None if "{" in name else name_problem(name)
        if problem:
            raise ValueError(problem)
        return name

    @model_validator(mode="after")
    def _leaves_our_marks(self) -> Self:
        if MANAGED_BY in self.labels:
            raise ValueError(f"label {MANAGED_BY} is set by confsync itself: drop it")
        reserved = next((name for name in self.annotations if name.startswith(PREFIX)), None)
        if reserved is not None:
            raise ValueError(f"annotation {reserved} is confsync's own: drop it")
        return self

    @property
    def namespaces(self) -> list[str]:
        """Those that are named; none where they are selected."""
        return _listed(self.namespace)

    @property
    def place(self) -> str:
        """CLUSTER/NAMESPACE/NAME of a placed target."""
        where = (
            self.namespace.text
            if isinstance(self.namespace, NamespaceSelector)
            else ",".join(self.namespaces)
        )
        return f"{self.cluster or 'default'}/{where}/{self.name}"

    @property
    def wording(self) -> tuple[str, ...]:
        """The texts that say where it is, any of which may be a template."""
        return self.name, *self.namespaces


class KubernetesSecretTarget(KubernetesTarget):
    """A Secret."""

    kind: ClassVar[str] = "kubernetes_secret"

    type: Annotated[
        str,
        Field(
            min_length=1,
            description="Opaque, tls, dockerconfigjson, basic-auth, ssh-auth, or any other the cluster knows.",
        ),
    ] = "Opaque"


class KubernetesConfigMapTarget(KubernetesTarget):
    """A ConfigMap. What depends on a sensitive value is refused: use a Secret."""

    kind: ClassVar[str] = "kubernetes_config_map"
