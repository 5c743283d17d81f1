"""What one part of a configuration says of another: names that must exist, paths that must not collide."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from confsync.config.kubernetes import KubernetesTarget
from confsync.config.models import Config, Sync, Target, TargetSpec
from confsync.config.patterns import parse_pattern
from confsync.text import did_you_mean

Problem: TypeAlias = tuple[tuple[str | int, ...], bool, str]
"""Where it is, whether the key itself (not its value) is meant, and what is wrong."""

RESERVED = frozenset({
    # what confsync puts there
    "vars", "each", "env", "now", "hostname", "seq", "lookup_ip",
    "lookup_ipv4", "lookup_ipv6", "lookup_srv", "lookup_txt",
    # what Jinja puts there
    "range", "dict", "lipsum", "cycler", "joiner", "namespace", "self", "loop", "caller", "varargs", "kwargs",
    # what Jinja's grammar needs
    "true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if", "else",
})  # fmt: skip
"""Names templates use for something else, so that no source may have them."""

DEFAULT_CLUSTER = "default"

_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """`source:path` in a data map; the path as it is written there."""

    source: str
    path: str


def parse_reference(text: str) -> Reference:
    """The reference in `text`.

    Raises:
        ValueError: it is none; the text says what to write.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not source:path; for a constant write {{value: {text!r}}}")
    return Reference(found[1], found[2])


def problems(config: Config) -> Iterator[Problem]:
    """Everything wrong between the parts of a configuration that is right in each part."""
    yield from _source_problems(config)
    yield from _environment_problems(config)
    yield from _local_problems(config)
    yield from _key_problems(config)
    yield from _election_problems(config)
    places: dict[str, str] = {}
    for name, sync in config.syncs.items():
        yield from _sync_problems(config, name, sync)
        yield from _cluster_problems(config, name, sync)
        yield from _place_problems(config, name, sync, places)


def _source_problems(config: Config) -> Iterator[Problem]:
    for name in config.sources:
        if name in RESERVED:
            yield (
                ("sources", name),
                True,
                f"a source cannot be called {name!r}: templates use that name for something else",
            )


def _environment_problems(config: Config) -> Iterator[Problem]:
    for name, environment in config.environments.items():
        for source in environment:
            if source not in config.sources:
                known = did_you_mean(source, config.sources)
                yield ("environments", name, source), True, f"there is no source {source!r}{known}"
    chosen = config.defaults.environment
    if chosen is not None and chosen not in config.environments:
        known = did_you_mean(chosen, config.environments)
        yield ("defaults", "environment"), False, f"there is no environment {chosen!r}{known}"


def _local_problems(config: Config) -> Iterator[Problem]:
    for name, policy in config.local.items():
        if name not in config.environments:
            known = did_you_mean(name, config.environments)
            yield ("local", name), True, f"there is no environment {name!r}{known}"
        for rule in ("allow", "deny"):
            for index, text in enumerate(getattr(policy, rule) or ()):
                yield from _pattern_problems(config, text, ("local", name, rule, index), of_key=False)
        for text in policy.substitute:
            at = ("local", name, "substitute", text)
            yield from _pattern_problems(config, text, at, of_key=True, one=True)


def _key_problems(config: Config) -> Iterator[Problem]:
    for text, key in config.keys.items():
        at = ("keys", text)
        yield from _pattern_problems(config, text, at, of_key=True, one=key.variable is not None)
        for index, environment in enumerate(key.required if isinstance(key.required, list) else ()):
            if environment not in config.environments:
                known = did_you_mean(environment, config.environments)
                yield (*at, "required", index), False, f"there is no environment {environment!r}{known}"


def _pattern_problems(
    config: Config, text: str, at: tuple[str | int, ...], *, of_key: bool, one: bool = False
) -> Iterator[Problem]:
    try:
        pattern = parse_pattern(text, config.sources)
    except ValueError as exc:
        yield at, of_key, str(exc)
        return
    if one and pattern.wild:
        yield at, of_key, f"{text!r} names several keys, and this is for one"


def _sync_problems(config: Config, name: str, sync: Sync) -> Iterator[Problem]:
    if sync.environment is not None and sync.environment not in config.environments:
        known = did_you_mean(sync.environment, config.environments)
        yield ("syncs", name, "environment"), False, f"there is no environment {sync.environment!r}{known}"
    for key, value in (sync.data or {}).items():
        if not isinstance(value, str):
            continue
        try:
            source = parse_reference(value).source
        except ValueError as exc:
            yield ("syncs", name, "data", key), False, str(exc)
            continue
        if source not in config.sources:
            known = did_you_mean(source, config.sources)
            yield (
                ("syncs", name, "data", key),
                False,
                f"there is no source {source!r}{known}; for a constant write {{value: …}}",
            )


def normal_path(path: str) -> str:
    """The one spelling of a path: no `..`, no doubled slash, not even the two at the beginning that POSIX allows."""
    normal = os.path.normpath(path)
    return normal[1:] if normal.startswith("//") else normal


def cluster_name(config: Config, spec: KubernetesTarget) -> str | None:
    """The cluster a target is in, or None where it has to say so, having the choice."""
    if spec.cluster is not None:
        return spec.cluster
    if len(config.clusters) == 1:
        return next(iter(config.clusters))
    return DEFAULT_CLUSTER if not config.clusters or DEFAULT_CLUSTER in config.clusters else None


def with_clusters(config: Config) -> Config:
    """`config`, which has no problems, with every Kubernetes target naming its cluster."""
    if not any(
        isinstance(target.spec, KubernetesTarget) for sync in config.syncs.values() for target in sync.to
    ):
        return config
    syncs = {
        name: sync.model_copy(update={"to": [_with_cluster(config, target) for target in sync.to]})
        for name, sync in config.syncs.items()
    }
    return config.model_copy(update={"syncs": syncs})


def _with_cluster(config: Config, target: Target) -> Target:
    spec = target.spec
    if not isinstance(spec, KubernetesTarget):
        return target
    named = spec.model_copy(update={"cluster": cluster_name(config, spec)})
    return target.model_copy(update={spec.kind: named})


def is_configured(config: Config, spec: TargetSpec) -> bool:
    """Whether the cluster of a placed target is one of the configuration's."""
    return not isinstance(spec, KubernetesTarget) or spec.cluster in (config.clusters or {DEFAULT_CLUSTER})


def fixed(config: Config, spec: TargetSpec) -> list[TargetSpec]:
    """The targets that `spec` stands for, as far as the configuration alone tells; none where it does not."""
    if any("{" in text for text in spec.wording):
        return []
    if not isinstance(spec, KubernetesTarget):
        return [spec]
    if spec.immutable:
        return []
    cluster = cluster_name(config, spec)
    return [
        spec.model_copy(update={"cluster": cluster, "namespace": namespace}) for namespace in spec.namespaces
    ]


def spot(kind: str, place: str) -> str:
    """What no two targets may share: a path, of whatever kind; else the place in its kind."""
    return normal_path(place) if kind in ("file", "directory") else f"{kind}:{place}"


def _election_problems(config: Config) -> Iterator[Problem]:
    if config.election is None:
        return
    clusters = list(config.clusters or [DEFAULT_CLUSTER])
    name = config.election.cluster
    if name is not None and name not in clusters:
        yield (
            ("election", "cluster"),
            False,
            f"there is no cluster {name!r}{did_you_mean(name, clusters)}",
        )
    elif name is None and len(clusters) > 1 and DEFAULT_CLUSTER not in clusters:
        yield ("election",), True, f"say which cluster the lease is in: cluster: {', '.join(clusters)}"


def _cluster_problems(config: Config, name: str, sync: Sync) -> Iterator[Problem]:
    for index, target in enumerate(sync.to):
        spec = target.spec
        if not isinstance(spec, KubernetesTarget):
            continue
        cluster = cluster_name(config, spec)
        at = ("syncs", name, "to", index, spec.kind)
        if cluster is None:
            yield at, False, f"say which cluster: {', '.join(config.clusters)}"
        elif config.clusters and cluster not in config.clusters:
            yield (
                (*at, "cluster"),
                False,
                f"there is no cluster {cluster!r}{did_you_mean(cluster, config.clusters)}",
            )
        elif not config.clusters and cluster != DEFAULT_CLUSTER:
            yield (*at, "cluster"), False, f"there is no cluster {cluster!r}: name it under `clusters`"


def _place_problems(config: Config, name: str, sync: Sync, places: dict[str, str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, target in enumerate(sync.to):
        spec = target.spec
        at = ("syncs", name, "to", index)
        if sync.for_each is not None and not any("{{" in text for text in spec.wording):
            of_its_own = "a name or namespace" if isinstance(spec, KubernetesTarget) else "a path"
            yield (
                at,
                False,
                f"{spec.place}: under for_each each item needs {of_its_own} of its own, with {{{{ each.key }}}}",
            )
        for one in fixed(config, spec):
            here = spot(one.kind, one.place)
            owner = places.setdefault(here, name)
            if owner != name or here in seen:
                yield at, False, f"{one.place} is already written by sync {owner!r}"
            seen.add(here)
