"""One render of one sync: its items, their paths, what is written there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from confsync.address import parse
from confsync.config.kubernetes import KubernetesSecretTarget, KubernetesTarget
from confsync.config.models import Composed, FileTarget, InlineTemplate, Literally, Sync
from confsync.config.references import parse_reference, spot
from confsync.errors import RenderError
from confsync.render import filters
from confsync.render.addressed import AddressedLookup
from confsync.render.budget import Budget
from confsync.render.failures import explain
from confsync.render.formats import Scalar, encode, format_of
from confsync.render.lookup import SourceLookup
from confsync.render.paths import final_object, final_path
from confsync.render.recorder import Recorder
from confsync.render.source_view import SourceView
from confsync.render.templates import Templates
from confsync.target import Content, Desired, TargetSpec
from confsync.text import printable


@dataclass(frozen=True, slots=True)
class Each:
    """One item of `for_each`."""

    key: str
    value: Any


def templates_of(name: str, sync: Sync) -> list[tuple[str, str | InlineTemplate]]:
    """(what to call it in errors, the template) for each template of a sync, paths and for_each included."""
    found: list[tuple[str, str | InlineTemplate]] = []
    if sync.template is not None:
        found.append((f"syncs.{name}.template", sync.template))
    found += [(f"syncs.{name}.templates.{key}", template) for key, template in (sync.templates or {}).items()]
    for key, value in (sync.data or {}).items():
        if isinstance(value, Composed):
            found.append((f"syncs.{name}.data.{key}", InlineTemplate(inline=value.template)))
    if sync.for_each is not None:
        found.append((f"syncs.{name}.for_each", InlineTemplate(inline="{{ " + sync.for_each + " }}")))
    found += [
        (f"syncs.{name}.to.{text}", InlineTemplate(inline=text))
        for target in sync.to
        for text in target.spec.wording
        if "{" in text
    ]
    return found


class Job:
    """One render of one sync.

    Args:
        base: what relative target paths are relative to.
    """

    def __init__(
        self,
        templates: Templates,
        base: str,
        name: str,
        sync: Sync,
        sources: Mapping[str, SourceView],
        recorder: Recorder,
    ) -> None:
        self._templates = templates
        self._base = base
        self._name = name
        self._sync = sync
        self._sources = sources
        self._recorder = recorder
        self._context: dict[str, Any] = {
            source: AddressedLookup(view, recorder) if view.view.by_request else SourceLookup(view, recorder)
            for source, view in sources.items()
        }
        self._context["vars"] = sync.vars

    def names(self) -> list[str]:
        """What a template may use."""
        return [*self._context, *filters.GLOBALS, *(["each"] if self._sync.for_each else [])]

    def templates(self) -> list[Callable[[], str]]:
        """How to get the text of every template used."""
        texts = [
            spec.inline
            for _, spec in templates_of(self._name, self._sync)
            if isinstance(spec, InlineTemplate)
        ]
        texts += [f"{key}: {{{{ }}}}\n{key}={{{{ }}}}\n{key} = {{{{ }}}}" for key in self._sync.data or ()]
        used = [name for name, digest in self._recorder.templates.items() if digest]
        return [
            *(partial(str, text) for text in texts),
            *(partial(self._templates.text_of, name) for name in used),
        ]

    def run(self, budget: Budget) -> Iterable[Desired]:
        """Render every target."""
        places: dict[str, str] = {}
        recorder = self._recorder
        items = self._items()
        tainted_items = recorder.sensitive
        for number, each in enumerate(items, 1):
            recorder.sensitive = tainted_items or self._sync.sensitive
            context = self._context if each is None else {**self._context, "each": each}
            label = f"{self._name}[{number if recorder.secrets else each.key}]" if each else self._name
            made = self._content(context, budget)
            for target in self._sync.to:
                spec = self._placed(target.spec, context, each)
                here = spot(spec.kind, spec.place)
                if here in places:
                    raise RenderError(
                        f"{label} and {places[here]} would both write {spec.place}",
                        where=f"syncs.{self._name}.to",
                    )
                places[here] = label
                content = _fitted(made, spec, self._name)
                # What is put where secrets are kept is shown to nobody, whatever its source says.
                secret = recorder.sensitive or isinstance(spec, KubernetesSecretTarget)
                yield Desired(spec, content, secret, self._name)

    def entry(self, name: str, budget: Budget) -> bytes:
        """One entry of the data map, as a directory has it."""
        self._recorder.sensitive = self._sync.sensitive
        return _raw(self._value(name, (self._sync.data or {})[name], self._context, budget))

    def _items(self) -> list[Each] | list[None]:
        if self._sync.for_each is None:
            return [None]
        where = f"syncs.{self._name}.for_each"
        try:
            expression = self._templates.expression(self._sync.for_each)
            return [_each(item, where) for item in _iterable(expression(**self._context), where)]
        except Exception as exc:
            raise explain(exc, where, self._recorder, self._templates.files, self.names()) from exc

    def _placed(self, spec: TargetSpec, context: Mapping[str, Any], each: Each | None) -> TargetSpec:
        where = f"syncs.{self._name}.to" + (
            f" for {printable(each.key)!r}" if each is not None and not self._recorder.secrets else ""
        )

        def written(text: str) -> str:
            return self._wording(text, context, where) if "{{" in text or "{%" in text else text

        if isinstance(spec, KubernetesTarget):
            return final_object(spec, written, where)
        path = final_path(written(spec.path), self._base, where)
        return spec if path == spec.path else spec.model_copy(update={"path": path})

    def _wording(self, template: str, context: Mapping[str, Any], where: str) -> str:
        """A path, a name: what everybody may see."""
        recorder = self._recorder
        before, recorder.sensitive = recorder.sensitive, False
        compiled = self._templates.compiled(template, where, of_path=True)
        # Not `.render()`: it hides from the traceback which template it was.
        text = "".join(compiled.root_render_func(compiled.new_context(dict(context))))
        tainted, recorder.sensitive = recorder.sensitive, before
        if tainted or recorder.gives_away(text, template):
            raise RenderError(
                "a path may not depend on a sensitive value: paths are seen by all", where=where
            )
        return text

    def _content(self, context: Mapping[str, Any], budget: Budget) -> bytes | dict[str, Scalar]:
        sync = self._sync
        if sync.template is not None:
            return self._text(sync.template, f"syncs.{self._name}.template", context, budget)
        where = f"syncs.{self._name}.templates"
        made: dict[str, Scalar] = {
            name: self._text(template, f"{where}.{name}", context, budget)
            for name, template in (sync.templates or {}).items()
        }
        made |= {key: self._value(key, value, context, budget) for key, value in (sync.data or {}).items()}
        return made

    def _text(
        self, spec: str | InlineTemplate, label: str, context: Mapping[str, Any], budget: Budget
    ) -> bytes:
        template = (
            self._templates.named(spec)
            if isinstance(spec, str)
            else self._templates.compiled(spec.inline, label)
        )
        chunks: list[str] = []
        length = 0
        for chunk in template.root_render_func(template.new_context(dict(context))):
            length += len(chunk)
            budget.turn()
            budget.size(length)
            chunks.append(chunk)
        budget.look()
        try:
            return "".join(chunks).encode("utf-8")
        except UnicodeEncodeError as exc:
            raise RenderError(
                "the result has characters that are not valid Unicode (a key that is not UTF-8?)", where=label
            ) from exc

    def _value(self, key: str, value: Any, context: Mapping[str, Any], budget: Budget) -> Scalar:
        where = f"syncs.{self._name}.data.{key}"
        if isinstance(value, Literally):
            return value.value
        if isinstance(value, Composed):
            return self._text(InlineTemplate(inline=value.template), where, context, budget).decode("utf-8")
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        reference = parse_reference(value)
        source = self._sources[reference.source]
        if source.view.by_request:
            return self._field(source, reference.path, where)
        path = reference.path.strip("/")
        entry = self._recorder.find(source, path, where)
        if entry is None:
            self._recorder.bad_keys.miss(source, path, where)
            return ""
        return _text_or_bytes(entry.value)

    def _field(self, source: SourceView, path: str, where: str) -> Scalar:
        """One field of a secret, in its own type where that is a scalar, else as JSON."""
        try:
            wanted = parse(path)
        except ValueError as exc:
            raise RenderError(f"{path!r} is no path of a secret: {exc}", where=where) from None
        found = self._recorder.look_up(source, str(wanted), where)
        if found is None:
            self._recorder.bad_keys.miss(source, str(wanted), where)
            return ""
        value, _ = found
        if wanted.field is None:
            raise RenderError(
                f"{source.name}:{path} is a whole secret; name one of its fields",
                where=where,
                hint=f"{source.name}:{path}#{min(value, default='field')}",
            )
        if isinstance(value, str | bool | int | float):
            return value
        return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _each(item: Any, where: str) -> Each:
    if isinstance(item, str | int):
        return Each(str(item), item)
    if isinstance(item, Sequence) and len(item) == 2 and isinstance(item[0], str | int):
        return Each(str(item[0]), item[1])
    raise RenderError(
        f"an item must be a name or a (name, value) pair, not {type(item).__name__}", where=where
    )


def _iterable(value: Any, where: str) -> list[Any]:
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise RenderError(f"for_each needs a list or mapping, not {type(value).__name__}", where=where)
    return list(value)


def _fitted(made: bytes | Mapping[str, Scalar], spec: TargetSpec, name: str) -> Content:
    """What was made, in the form the target takes."""
    if isinstance(made, bytes):
        return made
    if not isinstance(spec, FileTarget):
        return {key: _raw(value) for key, value in made.items()}
    form = spec.format or format_of(spec.path)
    if form is None:
        raise RenderError(
            f"{spec.path}: its ending does not tell a format",
            where=f"syncs.{name}.to",
            hint="give format: dotenv, json, yaml…",
        )
    return encode(form, made)


def _raw(value: Scalar) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return str(value).encode("utf-8")
