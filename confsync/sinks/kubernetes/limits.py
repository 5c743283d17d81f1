"""What the API server would refuse, found before it is asked. Pure.

The rules are apimachinery's pkg/util/validation and Kubernetes' pkg/apis/core/validation; the server has the last
word, so that what is in doubt is left to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from confsync.config.kubernetes import (
    MANAGED_BY,
    PREFIX,
    QUALIFIED,
    KubernetesSecretTarget,
    KubernetesTarget,
    data_key_problem,
    is_qualified,
    label_problem,
    name_problem,
    namespace_problem,
)
from confsync.errors import SinkError
from confsync.sinks.kubernetes.manifest import full_type
from confsync.text import printable

MOST_CONTENT = 1024 * 1024
"""Bytes of all values of one object, keys not counted."""

MOST_ANNOTATIONS = 256 * 1024
"""Bytes of all names and values of annotations of one object."""

_MOST_TOLD = 5
_MOST_SHOWN = 63

_TLS, _DOCKER, _BASIC, _SSH = map(full_type, ("tls", "dockerconfigjson", "basic-auth", "ssh-auth"))


def check(target: str, spec: KubernetesTarget, content: Mapping[str, bytes]) -> None:
    """Whether the API server could take this at all.

    Args:
        target: its id, to name in errors.
        spec: placed: with one namespace, and its final name.

    Raises:
        SinkError: it could not; names the keys, labels and limits concerned, no value of a key.
    """
    problems = [*_of_place(spec), *_of_metadata(spec), *_of_content(content)]
    if isinstance(spec, KubernetesSecretTarget):
        problems += _of_type(full_type(spec.type), content)
    _refuse(target, problems)


def check_place(target: str, spec: KubernetesTarget) -> None:
    """Whether there could be an object at a placed target's place. Raises `SinkError` if not."""
    _refuse(target, list(_of_place(spec)))


def _refuse(target: str, problems: list[str]) -> None:
    if not problems:
        return
    more = f"; and {len(problems) - _MOST_TOLD} more" if len(problems) > _MOST_TOLD else ""
    raise SinkError(printable(target), "; ".join(problems[:_MOST_TOLD]) + more)


def _of_place(spec: KubernetesTarget) -> Iterator[str]:
    problems = (namespace_problem(str(spec.namespace)), name_problem(spec.name))
    yield from (problem for problem in problems if problem)


def _of_metadata(spec: KubernetesTarget) -> Iterator[str]:
    for name, value in spec.labels.items():
        if name == MANAGED_BY:
            yield f"label {MANAGED_BY} is set by confsync itself: drop it from `labels`"
        problem = label_problem(name, value)
        if problem:
            yield printable(problem)
    for name, value in spec.annotations.items():
        if not _is_text(value):
            yield f"annotation {printable(name)}: its value is no text that could be sent"
        if name.startswith(PREFIX):
            yield f"annotation {printable(name)} is confsync's own: drop it from `annotations`"
        if not is_qualified(name.lower()):
            yield f"{_shown(name)} cannot be an annotation's name: {QUALIFIED}"
    size = sum(len(text.encode("utf-8", "replace")) for pair in spec.annotations.items() for text in pair)
    if size > MOST_ANNOTATIONS:
        yield f"its annotations have {size} bytes; {MOST_ANNOTATIONS} is the most"


def _of_content(content: Mapping[str, bytes]) -> Iterator[str]:
    yield from (problem for key in content if (problem := data_key_problem(key)))
    size = sum(map(len, content.values()))
    if size > MOST_CONTENT:
        largest = max(content, key=lambda key: len(content[key]))
        yield (
            f"its values have {size} bytes; {MOST_CONTENT} (1 MiB) is the most, and {_shown(largest)} alone has"
            f" {len(content[largest])}: spread them over several objects"
        )


def _of_type(kind: str, content: Mapping[str, bytes]) -> Iterator[str]:
    """What a Secret of this type must hold."""
    if kind == _TLS:
        yield from (_lacks(kind, key) for key in ("tls.crt", "tls.key") if key not in content)
    elif kind == _BASIC:
        if "username" not in content and "password" not in content:
            yield _lacks(kind, "username or password")
    elif kind == _SSH:
        if not content.get("ssh-privatekey"):
            yield _lacks(kind, "ssh-privatekey")
    elif kind == _DOCKER:
        yield from _of_docker_config(kind, content)


def _of_docker_config(kind: str, content: Mapping[str, bytes]) -> Iterator[str]:
    key = ".dockerconfigjson"
    if key not in content:
        yield _lacks(kind, key)
        return
    try:
        found = json.loads(content[key])
    except RecursionError:  # nothing to do with what the server reads
        return
    except ValueError:
        yield f"key {key} is not JSON, as a Secret of type {kind} needs it"
        return
    if found is not None and not isinstance(found, dict):
        yield f"key {key} is not a JSON object, as a Secret of type {kind} needs it"


def _lacks(kind: str, keys: str) -> str:
    return f"a Secret of type {kind} needs the key {keys}"


def _is_text(value: str) -> bool:
    """Whether a text is free of halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: object) -> str:
    text = printable(str(name))
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")
