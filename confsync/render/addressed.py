"""What an addressed source's name stands for in a template: `vault("db").password`, `vault("db#password")`…

As with other sources every lookup is recorded, and a secret or field that is missing is a `MissingValue`.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from copy import copy
from typing import Any

from jinja2.runtime import Undefined

from confsync.address import Wanted, parse
from confsync.errors import RenderError
from confsync.render.lookup import MissingValue
from confsync.render.position import template_position
from confsync.render.recorder import Recorder
from confsync.render.refused_field import OTHER_FIELDS, RefusedField
from confsync.render.source_view import SourceView
from confsync.snapshot import PLACEHOLDER

_NO_DEFAULT = object()


class SecretFields(dict[str, Any]):
    """A secret's fields in a template. In `secret.name` a field wins over the methods a mapping has.

    A field that is not there is missing as a key is. Of a secret that may only be fetched by a command that writes,
    every field is a placeholder; which there are is not known, so that as a whole it is one, too. Of one with a field
    that may not be used, the others can be had by their names; whoever goes through them all gets the error.
    """

    __slots__ = ("_lookup", "_refused", "_wanted", "fetched")

    def __init__(
        self, fields: Mapping[str, Any], lookup: AddressedLookup, wanted: Wanted, *, fetched: bool
    ) -> None:
        super().__init__(fields if fetched else {PLACEHOLDER: PLACEHOLDER})
        self._lookup = lookup
        self._wanted = wanted
        self._refused = {
            name: one.error for name, one in fields.items() if fetched and isinstance(one, RefusedField)
        }
        self.fetched = fetched

    def __getitem__(self, name: Any) -> Any:
        self._refuse(name)
        return super().__getitem__(name)

    def __missing__(self, name: object) -> Any:
        if not self.fetched:
            return PLACEHOLDER
        return self._lookup.missing(str(self._wanted._replace(field=str(name))))

    def get(self, name: Any, default: Any = None) -> Any:
        """The field, or `default`."""
        return super().get(name, PLACEHOLDER) if name in self else default

    def __iter__(self) -> Iterator[str]:
        self._refuse_whole()
        return super().__iter__()

    def __reversed__(self) -> Iterator[str]:
        self._refuse_whole()
        return super().__reversed__()

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """The names of its fields."""
        self._refuse_whole()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """Its fields."""
        self._refuse_whole()
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """Its fields with their names."""
        self._refuse_whole()
        return super().items()

    def __eq__(self, other: object) -> bool:
        self._refuse_whole()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __bool__(self) -> bool:
        return super().__len__() > 0

    def __len__(self) -> int:
        if OTHER_FIELDS in self._refused:
            self._refuse_whole()
        return super().__len__()

    def _refuse(self, name: object) -> None:
        """Raise why a field may not be used, if it may not."""
        unknown = OTHER_FIELDS if self._refused and not super().__contains__(name) else name
        error = self._refused.get(unknown)  # type: ignore[call-overload]
        if error is not None:
            raise error

    def _refuse_whole(self) -> None:
        """Raise why some field may not be used, if there is one."""
        for error in self._refused.values():
            told = copy(error)
            usable = min((name for name in dict.keys(self) if name not in self._refused), default="field")
            path = str(self._wanted._replace(field=usable))
            told.hint = (
                f"the secret is used as a whole: name the field you want: {self._lookup.name}({path!r})"
            )
            raise told

    def __contains__(self, name: object) -> bool:
        self._refuse(name)
        if not self.fetched or super().__contains__(name):
            return True
        self._lookup.require(str(self._wanted._replace(field=str(name))))
        return False

    def __str__(self) -> str:
        name = f"{self._lookup.name}({str(self._wanted)!r})"
        raise RenderError(
            f"{name} is a whole secret, not a value",
            where=template_position() or None,
            hint=f"write {name}.field, or {name}|to_json",
        )

    def attribute(self, name: str) -> Any:
        """`secret.name`: the field; where there is none, what a mapping has by that name, or it is missing."""
        if name in _METHODS and not super().__contains__(name):
            return getattr(self, name)
        return self[name]


_METHODS = frozenset({"get", "items", "keys", "values"})


class AddressedLookup:
    """An addressed source in a template. Fields have the types the store gave them. Belongs to one render."""

    __slots__ = ("_recorder", "_source")

    def __init__(self, source: SourceView, recorder: Recorder) -> None:
        self._source = source
        self._recorder = recorder

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    def __str__(self) -> str:
        name = self._source.name
        raise RenderError(f'{name} is a source, not a value; write for example {name}("path").field')

    def __repr__(self) -> str:
        return f"<source {self._source.name}>"  # no address: it would be another at every start

    def __call__(self, path: str = "", *more: Any, default: Any = _NO_DEFAULT, **parameters: Any) -> Any:
        """The secret at `path` as a mapping, or the value of one field where `path` ends in `#field`.

        Args:
            default: what to give where there is none; without it that is an error which names all that is missing.
            parameters: what goes with the request, such as common_name for a certificate.
        """
        if isinstance(path, MissingValue):
            return path  # the key that is missing is the one this path was to be read from
        if more:
            name = self._source.name
            raise RenderError(
                f"{name} takes one path",
                where=template_position() or None,
                hint=f'write {name}("path").field for a field, {name}("path#field", default="…") for a default',
            )
        wanted = self._wanted(path, parameters)
        found = self._recorder.look_up(self._source, str(wanted))
        if found is None:
            return self.missing(str(wanted)) if default is _NO_DEFAULT else default
        value, fetched = found
        if wanted.field is None:
            return SecretFields(value, self, wanted, fetched=fetched)
        return value

    def get(self, path: str, default: Any = None, **parameters: Any) -> Any:
        """The secret or field at `path`, or `default` (none)."""
        return self(path, default=default, **parameters)

    def __contains__(self, path: str) -> bool:
        """`"path" in vault`: whether the secret, or the field, exists."""
        return self._recorder.look_up(self._source, str(self._wanted(path, {}))) is not None

    def list(self, prefix: str = "") -> Sequence[str]:
        """The names one step below `prefix`, as a path spells them; those with more below end in `/`.

        Args:
            prefix: a path below the environment's prefix; `/`, or what begins with it, is from the store's root.
        """
        return [*self._listed(prefix)]

    def children(self, prefix: str = "") -> Sequence[str]:
        """The names of the secrets one step below `prefix`."""
        return [name for name in self._listed(prefix) if not name.endswith("/")]

    def dirs(self, prefix: str = "") -> Sequence[str]:
        """The names one step below `prefix` that have secrets below them."""
        return [name.rstrip("/") for name in self._listed(prefix) if name.endswith("/")]

    def metadata(self, path: str) -> Any:
        """What the store knows about a secret: current_version, created_time, custom_metadata…"""
        return self(path, metadata="")

    def decrypt(self, key: str, ciphertext: Any) -> Any:
        """The text a ciphertext stands for: `vault.decrypt("transit/app", etcd("db/password"))`.

        Args:
            key: the key's mount and name, from the store's root.
        """
        plain = self.decrypt_bytes(key, ciphertext)
        if not isinstance(plain, bytes):
            return plain
        try:
            text = plain.decode("utf-8")
        except UnicodeDecodeError:
            raise RenderError(
                f"what {self._source.name}.decrypt({key!r}, …) gives is not UTF-8 text",
                where=template_position() or None,
                hint=f"take it as bytes: {self._source.name}.decrypt_bytes({key!r}, …)|b64encode",
            ) from None
        self._recorder.secrets.add(text)
        return text

    def decrypt_bytes(self, key: str, ciphertext: Any) -> Any:
        """The bytes a ciphertext stands for."""
        if isinstance(ciphertext, Undefined):
            if isinstance(ciphertext, MissingValue):
                ciphertext.note()
                return ciphertext
            ciphertext = str(ciphertext)  # which raises
        if not isinstance(ciphertext, str) or not isinstance(key, str):
            raise RenderError(
                "decrypt takes the name of a key and a ciphertext", where=template_position() or None
            )
        return self._recorder.decrypt(self._source, key.strip("/"), ciphertext.strip())

    def missing(self, name: str) -> MissingValue:
        """Stands for a secret or field that is not there."""
        self._recorder.look_up(
            self._source, name
        )  # so that it is known to have been wanted, and why it is not there
        return MissingValue(self._recorder, self._source, name, template_position())

    def require(self, name: str) -> None:
        """A field that the secret has not: where it has to, nothing stands in for it."""
        self._recorder.bad_keys.require(self._source, name)

    def _listed(self, prefix: str) -> Sequence[str]:
        place = _text(prefix)
        return self._recorder.list_names(
            self._source, place.rstrip("/") or place[:1]
        )  # "/" is the store's root

    def _wanted(self, path: Any, parameters: Mapping[str, Any]) -> Wanted:
        try:
            wanted = parse(_text(path))
        except ValueError as exc:
            raise RenderError(
                f"{path!r} is no path of a secret: {exc}", where=template_position() or None
            ) from None
        given = dict(wanted.parameters) | {name: _parameter(value) for name, value in parameters.items()}
        return wanted._replace(parameters=tuple(sorted(given.items())))


def _text(path: Any) -> str:
    if isinstance(path, Undefined):
        return str(path)  # which notes it, or raises
    if not isinstance(path, str):
        raise RenderError(f"a path is text, not {type(path).__name__}", where=template_position() or None)
    return path


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(_parameter(item) for item in value)
    return str(value)
