"""The variables of syncs: of a data map by its names, of templates the keys they read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confsync.config.models import DirectoryTarget, Sync, Target
from confsync.config.references import parse_reference
from confsync.environments.gathering import Gathering
from confsync.environments.policy import Kind
from confsync.environments.variables import Withheld
from confsync.errors import ConfigError, ConfsyncError, HeldBack
from confsync.render.formats.names import VARIABLE, suggestion
from confsync.render.recorder import SourceView
from confsync.render.renderer import RenderFailed, Rendering
from confsync.snapshot import PLACEHOLDER
from confsync.text import did_you_mean, printable


def gather_syncs(gathering: Gathering, *, fetching: bool) -> None:
    """The variables of the syncs that are wanted.

    Raises:
        ConfsyncError: there is no such sync, or it cannot be rendered.
    """
    syncs = gathering.core.loaded.config.syncs
    for name in dict.fromkeys(gathering.selection.syncs):
        if name not in syncs:
            raise ConfigError(f"there is no sync {name!r}{did_you_mean(name, syncs)}")
        sync = syncs[name]
        if sync.data is not None:
            _gather_map(gathering, name, sync, fetching=fetching)
        if sync.template is not None or sync.templates is not None:
            _gather_reads(gathering, name, sync)


def _gather_map(gathering: Gathering, name: str, sync: Sync, *, fetching: bool) -> None:
    """Each entry of a data map; one that reads what is held back is held back, the others come down."""
    if sync.for_each is not None:
        raise ConfsyncError(f"sync {name!r} has a data map for each item: its variables would have one name")
    sources = gathering.policy.sources(gathering.core, looking=not fetching)
    secret = any(target.kubernetes_secret for target in sync.to)
    for entry, said in (sync.data or {}).items():
        key = f"{name}.{entry}"
        if not VARIABLE.fullmatch(entry):
            hint = f" ({suggestion(entry)})" if suggestion(entry) else ""
            gathering.problems.append(f"sync {key}: {printable(entry)!r} is no name for a variable{hint}")
            continue
        try:
            rendering = _rendered(gathering, name, sync, sources, {entry: said})
        except HeldBack as exc:
            gathering.held_back.append(Withheld(f"{key} ({exc.key})", exc.rule))
            continue
        made = rendering.desired[0]
        assert isinstance(made.content, Mapping)  # noqa: S101 - a directory's content is
        value = made.content[entry]
        if PLACEHOLDER.encode() in value and not fetching:
            gathering.unfetched.append(Withheld(key, "it is made anew for each who fetches it"))
            continue
        gathering.add_variable(
            entry, value, key, sensitive=made.sensitive or secret, rule=_rule(gathering, said)
        )


def _rule(gathering: Gathering, said: Any) -> str:
    """The rule that puts something else in the place of a referenced key, or ""."""
    if not isinstance(said, str):
        return ""
    reference = parse_reference(said)
    ruling = gathering.policy.ruling(reference.source, reference.path.strip("/"))
    return ruling.rule if ruling.kind is Kind.SUBSTITUTED else ""


def _gather_reads(gathering: Gathering, name: str, sync: Sync) -> None:
    """The keys that a sync's templates read."""
    views = gathering.core.views(gathering.environment, looking=True)
    rendering = _rendered(gathering, name, sync, views, None)
    for source, path in sorted(rendering.reads.keys):
        view = views[source].view
        looked = view.look_up(path)
        if looked is None or (source, path) in gathering.seen:
            continue
        found, value = looked
        if not found.fetched:
            gathering.unfetched.append(
                Withheld(f"{source}:{path}", "it is made anew for each who fetches it")
            )
        elif isinstance(value, Mapping):
            for field in sorted(value):
                one = view.find(f"{path}#{field}")
                if one is not None:
                    gathering.take(source, f"{path}#{field}", one.entry.value)
        else:
            gathering.take(source, path, found.entry.value)


def _rendered(
    gathering: Gathering,
    name: str,
    sync: Sync,
    sources: Mapping[str, SourceView],
    data: Mapping[str, Any] | None,
) -> Rendering:
    """A sync's templates, or entries of its data map, rendered for nobody but us."""
    core = gathering.core
    only: dict[str, Any] = {"data": data}
    if data is not None:
        directory = Target(directory=DirectoryTarget(path=f"/{name}"))
        only |= {"template": None, "templates": None, "to": [directory]}
    elif sync.template is not None:
        only = {}
    try:
        return core.renderer.render(name, sync.model_copy(update=only), core.limits_of(sync), sources, {})
    except RenderFailed as exc:
        raise exc.error from None
