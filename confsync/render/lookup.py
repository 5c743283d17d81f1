"""What a source's name stands for in a template: `etcd("db/host")`, `etcd.children("upstream")`…

Every lookup is recorded. A key that is missing is not an error yet: it is a `MissingValue`, which `default()` and
`is defined` may handle; the moment it is used otherwise it is noted, and the render goes on to find the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from jinja2.runtime import Undefined

from confsync.driver import Entry
from confsync.errors import ConfsyncError, RenderError
from confsync.render.filters import FILTERS
from confsync.render.position import template_position
from confsync.render.recorder import Recorder
from confsync.render.source_view import SourceView
from confsync.snapshot import full_key

_NO_DEFAULT = object()


class MissingValue(Undefined):
    """Stands for a key that does not exist; any use notes it as missing and gives something harmless instead."""

    __slots__ = ("_miss",)

    def __init__(self, recorder: Recorder, source: SourceView, path: str, where: str) -> None:
        super().__init__(name=path)
        self._miss = (recorder, source, path, where)

    def note(self) -> None:
        """It was needed."""
        recorder, source, path, where = self._miss
        recorder.bad_keys.miss(source, path, where)

    def _fail_with_undefined_error(self, *_: Any, **__: Any) -> NoReturn:
        self.note()
        raise RenderError(f"no key {self._miss[2]!r}")

    def _harmless(self, *_: Any, **__: Any) -> MissingValue:
        self.note()
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._harmless()

    def __str__(self) -> str:
        self.note()
        return ""

    def __iter__(self) -> Iterator[Any]:
        self.note()
        return iter(())

    def __len__(self) -> int:
        self.note()
        return 0

    def __bool__(self) -> bool:
        self.note()
        return False

    def __eq__(self, other: object) -> bool:
        self.note()
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def _compare(self, _: object) -> bool:
        self.note()
        return False

    def __int__(self) -> int:  # type: ignore[override]
        self.note()
        return 0

    def __float__(self) -> float:  # type: ignore[override]
        self.note()
        return 0.0

    __lt__ = __le__ = __gt__ = __ge__ = _compare  # type: ignore[assignment]

    __getitem__ = __call__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _harmless  # type: ignore[assignment]
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _harmless  # type: ignore[assignment]
    __mod__ = __rmod__ = __neg__ = __pos__ = _harmless  # type: ignore[assignment]
    __pow__ = __rpow__ = _harmless  # type: ignore[assignment]


class SourceLookup:
    """A source in a template. Values are text (UTF-8); order is always sorted. Belongs to one render."""

    __slots__ = ("_recorder", "_source")

    def __init__(self, source: SourceView, recorder: Recorder) -> None:
        self._source = source
        self._recorder = recorder

    def __str__(self) -> str:
        name = self._source.name
        raise RenderError(f'{name} is a source, not a value; write for example {name}("path")')

    def __repr__(self) -> str:
        return f"<source {self._source.name}>"  # no address: it would be another at every start

    def __call__(self, path: str, default: Any = _NO_DEFAULT) -> Any:
        """The value at `path`; without it `default`, or an error that names every missing key of the render."""
        entry = self._find(path)
        if entry is not None:
            return self._text(_clean(path), entry)
        return self._missing(path) if default is _NO_DEFAULT else default

    def get(self, path: str, default: Any = None) -> Any:
        """The value at `path`, or `default` (none)."""
        return self(path, default)

    def __contains__(self, path: str) -> bool:
        """`"path" in etcd`: whether the key exists."""
        return self._find(path) is not None

    def bytes(self, path: str) -> Any:
        """The value as bytes, for what is not text: `{{ etcd.bytes("cert.der")|b64encode }}`."""
        entry = self._find(path)
        return self._missing(path) if entry is None else entry.value

    def items(self, prefix: str = "") -> list[tuple[str, str]]:
        """(path below `prefix`, value) of everything below it, at any depth."""
        prefix = self._listing(prefix)
        paths = self._source.view.under(prefix)
        self._recorder.require_below(self._source, prefix, paths, deep=True)
        return self._pairs(prefix, paths)

    def children(self, prefix: str = "") -> list[tuple[str, str]]:
        """(name, value) of the keys exactly one step below `prefix`."""
        prefix = self._listing(prefix)
        paths = self._source.view.children(prefix)
        self._recorder.require_below(self._source, prefix, paths, deep=False)
        return self._pairs(prefix, paths)

    def dirs(self, prefix: str = "") -> list[str]:
        """The names one step below `prefix` that have keys below them."""
        return self._source.view.directories(self._listing(prefix))

    def json(self, path: str, default: Any = _NO_DEFAULT) -> Any:
        """The value at `path`, parsed as JSON."""
        return self._parsed("from_json", path, default)

    def yaml(self, path: str, default: Any = _NO_DEFAULT) -> Any:
        """The value at `path`, parsed as YAML (safely)."""
        return self._parsed("from_yaml", path, default)

    def _parsed(self, name: str, path: str, default: Any) -> Any:
        text = self(path, default)
        if text is default or isinstance(text, MissingValue):
            return text
        try:
            found = FILTERS[name](text)
        except RenderError as exc:
            raise self._bad_value(
                path, exc.message.removeprefix(f"{name}: ").replace("not valid", "is not valid")
            ) from exc
        self._recorder.note_derived(found, text)
        return found

    def _find(self, path: str) -> Entry | None:
        return self._recorder.find(self._source, _clean(path))

    def _listing(self, prefix: str) -> str:
        prefix = _clean(prefix)
        self._recorder.list(self._source, prefix)
        return prefix

    def _pairs(self, prefix: str, paths: list[str]) -> list[tuple[str, str]]:
        depth = len(prefix) + 1 if prefix else 0
        found = [(path, self._recorder.find(self._source, path)) for path in paths]
        return [(path[depth:], self._text(path, entry)) for path, entry in found if entry is not None]

    def _missing(self, path: str) -> MissingValue:
        if isinstance(path, MissingValue):
            return path  # the key that is missing is the one this path was to be read from
        return MissingValue(self._recorder, self._source, _clean(path), template_position())

    def _text(self, path: str, entry: Entry) -> str:
        try:
            text = entry.value.decode("utf-8")
        except UnicodeDecodeError as exc:
            hint = f"read it as bytes: {self._source.name}.bytes({path!r})|b64encode"
            raise self._bad_value(path, f"is not UTF-8 text (byte {exc.start})", hint=hint) from None
        if self._source.is_sensitive(path):
            self._recorder.secrets.add(text)
        return text

    def _bad_value(self, path: str, problem: str, hint: str | None = None) -> ConfsyncError:
        found = self._source.view.find(_clean(path))
        key = full_key(found.prefix if found else "", _clean(path))
        return RenderError(
            f"the value of {self._source.name}:{key} {problem}", where=template_position() or None, hint=hint
        )


def _clean(path: Any) -> str:
    if isinstance(path, Undefined):
        return str(path)  # which notes it, or raises
    if not isinstance(path, str):
        raise RenderError(f"a path is text, not {type(path).__name__}", where=template_position() or None)
    return path.strip("/")
