"""Where targets are, made by templates: what comes from a key becomes one harmless segment, whatever it contains."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from confsync.config.kubernetes import (
    KubernetesTarget,
    NamespaceSelector,
    name_problem,
    namespace_problem,
)
from confsync.config.references import normal_path
from confsync.errors import RenderError

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@+=,")
_LONGEST_NAME = 255

_Spec = TypeVar("_Spec", bound=KubernetesTarget)


def escape_segment(value: Any) -> str:
    """`value` as part of a file name: bytes besides letters, digits and `-_.@+=,` become %XX, as does a leading dot.

    No two values give the same text, and none leaves its directory: `../x` becomes `%2E.%2Fx`.

    Raises:
        RenderError: it is empty.
    """
    from jinja2.runtime import Undefined  # not for those who know of a path without rendering it

    if isinstance(value, Undefined):
        return str(value)  # which raises, or notes the missing key
    text = str(value)
    if not text:
        raise RenderError("a path may not be built from an empty name")
    escaped = "".join(char if char in _SAFE else _percent(char) for char in text)
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def final_path(path: str, base: str, where: str) -> str:
    """The absolute, normalised form of a rendered target path.

    Raises:
        RenderError: it has a NUL or an over-long name.
    """
    if "\0" in path:
        raise RenderError("the path contains a NUL", where=where)
    joined = normal_path(os.path.join(base, os.path.expanduser(path)))
    long = next((name for name in joined.split("/") if len(os.fsencode(name)) > _LONGEST_NAME), None)
    if long is not None:
        raise RenderError(f"the path has a name longer than {_LONGEST_NAME} bytes: {long[:40]}…", where=where)
    return joined


def final_object(spec: _Spec, written: Callable[[str], str], where: str) -> _Spec:
    """`spec` with its name and namespaces as `written` makes them.

    Raises:
        RenderError: one of them is no name Kubernetes allows.
    """
    name = written(spec.name)
    namespace: str | list[str] | NamespaceSelector = spec.namespace
    if isinstance(namespace, str):
        namespace = written(namespace)
    elif not isinstance(namespace, NamespaceSelector):
        namespace = [written(one) for one in namespace]
    placed = spec.model_copy(update={"name": name, "namespace": namespace})
    problem = name_problem(name) or next(filter(None, map(namespace_problem, placed.namespaces)), None)
    if problem is not None:
        raise RenderError(problem, where=where)
    return placed
