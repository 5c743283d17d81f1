"""Secrets and ConfigMaps as targets: server-side apply, by which others' fields in the same object live on.

What is ours of an object its server keeps (the fields our field manager applied); whose object it is its marks say
(see `manifest`). An object of another sync is left alone, and noted on, so that both say so (see `claims`, `rivals`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from confsync.config.kubernetes import KubernetesConfigMapTarget, KubernetesSecretTarget
from confsync.errors import SinkError, TargetTaken
from confsync.sinks.base import Actual, Desired, Remark, Sink, TargetSpec
from confsync.sinks.kubernetes import claims, limits, manifest, private_files, removal, workloads
from confsync.sinks.kubernetes.access import Access
from confsync.sinks.kubernetes.cluster import Cluster
from confsync.sinks.kubernetes.failures import ApiFailure, sink_error
from confsync.sinks.kubernetes.manifest import Marks, Origin
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.placement import Placement, Spec, name_of
from confsync.sinks.kubernetes.resources import CONFIG_MAP, SECRET, Resource
from confsync.sinks.kubernetes.rivals import MOST, WITHIN, Rivals
from confsync.sinks.kubernetes.staged import Order, StagedObject
from confsync.target import target_id
from confsync.text import printable

_CLAIMANT = "confsync-claim"


class KubernetesSink(Sink):
    """What Secrets and ConfigMaps have in common.

    Args:
        clusters: gives the cluster of a name, or the default one; raises ConfigError for one that is not known.
        key: secret; for the names of immutable objects, which tell nothing of their content.
    """

    shared: ClassVar[bool] = True
    remote: ClassVar[bool] = True
    model: ClassVar[type[Spec]]
    resource: ClassVar[Resource]

    def __init__(self, clusters: Callable[[str | None], Cluster], key: bytes) -> None:
        self._clusters = clusters
        self._placement = Placement(clusters, key)
        self._rivals = Rivals()
        self._seen: dict[str, tuple[str, str]] = {}  # target -> uid and resourceVersion when it was observed
        self._salts: dict[str, str] = {}  # target -> the last its checksum had: without them a heal rolls out

    def place(self, desired: Desired) -> list[Desired]:
        spec = self._spec(desired.spec)
        target = name_of(spec)
        content = _files(target, desired)
        self._check(target, desired)
        return [replace(desired, spec=one) for one in self._placement.placed(spec, desired.sync, content)]

    def locate(self, spec: TargetSpec) -> str:
        placed = self._spec(spec)
        limits.check_place(name_of(placed), placed)
        return placed.place

    def observe(self, spec: TargetSpec, wanted: Collection[str] = ()) -> Actual:
        placed = self._spec(spec)
        target = name_of(placed)
        found = self._find(placed)
        if found is None:
            self._seen.pop(target, None)
            return Actual(None, {})
        self._seen[target] = (found.uid, found.resource_version)
        self._keep_salt(target, found)
        marks = Marks.of(found)
        return Actual(
            manifest.content_of(found, wanted),
            manifest.attributes_of(found, placed, wanted),
            identity=found.uid,
            created_for=marks.sync if marks.origin == Origin.CREATED else None,
            claimed_by=claims.claimant(marks.claimed_by, self._clusters(placed.cluster).clock.now()),
        )

    def attributes(self, desired: Desired, actual: Actual) -> Mapping[str, str]:
        spec = self._spec(desired.spec)
        wanted = manifest.attributes_wanted(spec, desired.sync)
        if actual.content is not None:
            self._check_fixed(spec, wanted, actual, same=actual.content == desired.content)
        return wanted

    def stage(
        self,
        desired: Desired,
        *,
        undoable: bool = True,
        created: bool = False,
        formerly: str | None = None,
    ) -> StagedObject:
        spec = self._spec(desired.spec)
        before = self._find(spec)
        rival = self._rival(desired, before, formerly)
        if before is not None and rival is not None:
            self._claim(spec, before, desired.sync)
            raise rival
        staged = StagedObject(self._order(desired, before, created))
        if undoable:  # else what commits is all there is, and asks the same
            staged.rehearse()
        return staged

    def rehearse(
        self, desired: Desired, *, created: bool = False, formerly: str | None = None
    ) -> tuple[Remark, ...]:
        spec = self._spec(desired.spec)
        before = self._find(spec)
        rival = self._rival(desired, before, formerly)
        if rival is not None:
            raise rival
        staged = StagedObject(self._order(desired, before, created))
        staged.rehearse()
        cluster, namespace = self._clusters(spec.cluster), str(spec.namespace)
        missing = (workloads.rehearse(cluster, namespace, workload) for workload in spec.restart)
        return (*map(Remark, staged.remarks), *filter(None, missing))

    def rehearse_removal(self, spec: TargetSpec) -> None:
        placed = self._spec(spec)
        found = self._find(placed)
        if found is not None and not manifest.foreign_keys(found):
            seen = (found.uid, found.resource_version)
            removal.remove(self._access(placed), placed, found, seen, dry_run=True)

    def strays(self, spec: TargetSpec, sync: str, known: Collection[str]) -> tuple[str, ...]:
        placed = self._spec(spec)
        try:
            found = self._access(placed).cache.all()
        except ApiFailure as failure:
            raise sink_error(name_of(placed), failure, "cannot be read") from failure
        # Each sync looks at all there is in its namespaces: what is another's has to cost next to nothing.
        ours = (
            (name, thing) for name, thing in found.items() if thing.annotations.get(manifest.SYNC) == sync
        )
        made = sorted(name for name, thing in ours if Marks.of(thing).created_for(sync))
        others = (placed.model_copy(update={"name": name}) for name in made)
        return tuple(
            f"{name_of(one)} says that it was made for this sync, which does not want it: delete it, unless another "
            "confsync keeps it"
            for one in others
            if target_id(one) not in known
        )

    def others_keep(self, spec: TargetSpec) -> bool:
        found = self._find(self._spec(spec))
        return found is not None and bool(manifest.foreign_keys(found))

    def remove(self, spec: TargetSpec) -> None:
        """Delete the object, or what is ours of it where others have keys in it.

        Only as `observe` saw it last: what changed since is somebody's work.
        """
        placed = self._spec(spec)
        target = name_of(placed)
        found = self._find(placed)
        seen = self._seen.pop(target, None)
        if found is not None:
            now = (found.uid, found.resource_version)
            removal.remove(self._access(placed), placed, found, seen or now)
        self._forget(target)

    def release(self, spec: TargetSpec) -> None:
        """Withdraw our fields; with `deletion: retain` leave them."""
        placed = self._spec(spec)
        found = None if placed.deletion == "retain" else self._find(placed)
        if found is not None and manifest.OURS in found.owners:
            removal.withdraw(self._access(placed), placed, found)
        self._forget(name_of(placed))

    def leadership_changed(self) -> None:
        """What another replica of this configuration writes is no rival's."""
        self._rivals.forget_all()

    def sweep(self, specs: Iterable[TargetSpec]) -> None:  # noqa: ARG002 - in the cluster nothing is left behind
        private_files.sweep()

    def _spec(self, spec: TargetSpec) -> Spec:
        """The spec, which is of this sink's kind. Raises `TypeError`."""
        if not isinstance(spec, self.model):
            raise TypeError(f"the sink {self.kind} was given a {type(spec).__name__}")
        return spec

    def _check(self, target: str, desired: Desired) -> None:
        """Raises `SinkError` for what may not be in an object of this kind."""

    # Looking

    def _access(self, spec: Spec) -> Access:
        return Access(self._clusters(spec.cluster), self.resource, str(spec.namespace))

    def _find(self, spec: Spec) -> KubeObject | None:
        target = name_of(spec)
        try:
            found = self._access(spec).find(spec.name)
        except ApiFailure as failure:
            raise sink_error(target, failure, "cannot be read") from failure
        if found is not None and found.deleting:
            raise SinkError(
                target,
                "it is being deleted, and waits for its finalizers",
                hint=f"see kubectl -n {spec.namespace} get {self.resource.plural} {spec.name} -o yaml",
            )
        return found

    def _check_fixed(self, spec: Spec, wanted: Mapping[str, str], actual: Actual, *, same: bool) -> None:
        """Whether what is there can become what is wanted at all."""
        target, found = name_of(spec), actual.attributes
        delete = f"delete it ({removal.deleting(spec)}) and confsync makes it anew, or choose another name"
        if found.get("type") != wanted.get("type"):
            kind = printable(found.get("type", ""))
            raise SinkError(
                target, f"its type is {kind}, not {wanted.get('type')}, and a type cannot change", hint=delete
            )
        if found["immutable"] == "yes" and not (spec.immutable and same):
            raise SinkError(target, "it is immutable, and holds something else", hint=delete)

    # Writing

    def _order(self, desired: Desired, before: KubeObject | None, created: bool) -> Order:
        spec = self._spec(desired.spec)
        target, access = name_of(spec), self._access(spec)
        content = _files(target, desired)
        created = _is_our_making(desired.sync, before, created)
        origin = Origin.CREATED if before is None or created else Origin.ADOPTED
        checksum = manifest.checksum(content, self._salt(target, before or access.cache.tombstone(spec.name)))
        conflicts = spec.conflicts or ("take" if created else "report")
        return Order(
            target,
            access,
            self.resource,
            manifest.desired_object(spec, desired.sync, content, origin, checksum),
            content,
            before,
            force=conflicts == "take",
            created=created,
            wrote=lambda written: self._wrote(spec, desired.sync, written),
        )

    def _salt(self, target: str, last: KubeObject | None) -> str:
        """The salt of an object's checksum: the one it has or had, also where somebody took its annotations away."""
        return manifest.salt_of(last) or self._salts.get(target) or manifest.new_salt()

    def _keep_salt(self, target: str, found: KubeObject) -> None:
        salt = manifest.salt_of(found)
        if salt is not None:
            self._salts[target] = salt

    def _forget(self, target: str) -> None:
        self._rivals.forget(target)
        self._salts.pop(target, None)

    def _rival(self, desired: Desired, before: KubeObject | None, formerly: str | None) -> TargetTaken | None:
        """Why an object is left to another confsync; None where it is not."""
        if before is None:
            return None
        spec = self._spec(desired.spec)
        target, marks = name_of(spec), Marks.of(before)
        # A sync that was renamed finds its old name there, which is what the ledger has too.
        if marks.sync not in (None, desired.sync, formerly) and spec.conflicts != "take":
            return TargetTaken(
                target,
                f"it belongs to sync {printable(marks.sync or '')!r} of another confsync",
                hint="choose another name, or take it over with `conflicts: take`",
            )
        if self._rivals.are_there(target, before, self._clusters(spec.cluster).clock):
            return TargetTaken(
                target,
                f"another confsync writes it too: it was overwritten {MOST} times in {WITHIN / 60:.0f} minutes",
                hint="let only one of them have it",
            )
        return None

    def _wrote(self, spec: Spec, sync: str, written: KubeObject) -> None:
        self._rivals.wrote(name_of(spec), written)
        self._keep_salt(name_of(spec), written)
        now = self._clusters(spec.cluster).clock.now()
        if claims.age(Marks.of(written).claimed_by, now, sync=sync) is not None:
            self._note(spec, written, None)  # what it claimed it has now

    def _claim(self, spec: Spec, before: KubeObject, sync: str) -> None:
        """Leave a note for the other, who will tell of it. It is no harm where that fails."""
        now = self._clusters(spec.cluster).clock.now()
        age = claims.age(Marks.of(before).claimed_by, now, sync=sync)
        if age is not None and age < claims.REFRESHED:
            return
        self._note(spec, before, claims.text_of(sync, now))

    def _note(self, spec: Spec, found: KubeObject, text: str | None) -> None:
        """Leave a claim, or take ours back."""
        with suppress(ApiFailure):
            self._access(spec).apply(
                manifest.claim(found, self.resource, text), before=found, manager=_CLAIMANT, force=True
            )


class KubernetesSecretSink(KubernetesSink):
    """Writes `KubernetesSecretTarget`s."""

    kind: ClassVar[str] = KubernetesSecretTarget.kind
    model: ClassVar[type[Spec]] = KubernetesSecretTarget
    resource: ClassVar[Resource] = SECRET


class KubernetesConfigMapSink(KubernetesSink):
    """Writes `KubernetesConfigMapTarget`s; what is sensitive it refuses."""

    kind: ClassVar[str] = KubernetesConfigMapTarget.kind
    model: ClassVar[type[Spec]] = KubernetesConfigMapTarget
    resource: ClassVar[Resource] = CONFIG_MAP

    def _check(self, target: str, desired: Desired) -> None:
        if desired.sensitive:
            raise SinkError(
                target,
                "what it should hold depends on a sensitive value, and a ConfigMap is no place for one",
                hint="use kubernetes_secret",
            )


def _files(target: str, desired: Desired) -> Mapping[str, bytes]:
    if isinstance(desired.content, bytes):
        raise SinkError(target, "one nameless file has no key", hint="use `data`, or `templates` with names")
    return desired.content


def _is_our_making(sync: str, before: KubeObject | None, created: bool) -> bool:
    """Whether confsync made the object that is there.

    The ledger knows of a name only: an object in which nothing is ours any more is one that somebody made anew.
    """
    if before is None:
        return False
    return Marks.of(before).created_for(sync) or (created and manifest.OURS in before.owners)
