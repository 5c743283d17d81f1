"""Which names, labels and keys are valid, and how the server says that one is not.

Sources: apimachinery's pkg/util/validation and pkg/api/validate/content.
"""

from __future__ import annotations

import re

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_ALPHANUMERIC = "and must start and end with an alphanumeric character"
_LOWER = "must consist of lower case alphanumeric characters"
_OF_SUBDOMAIN = f"a lowercase RFC 1123 subdomain {_LOWER}, '-' or '.', {_ALPHANUMERIC}"
_OF_LABEL = f"a lowercase RFC 1123 label {_LOWER} or '-', {_ALPHANUMERIC}"
_OF_PART = f"must consist of alphanumeric characters, '-', '_' or '.', {_ALPHANUMERIC}"


def of_subdomain(name: str) -> list[str]:
    """What is wrong with the name of most things; an empty list when nothing is."""
    return _too_long(name, 253) + _unlike(name, _SUBDOMAIN, _OF_SUBDOMAIN, "example.com")


def of_label(name: str) -> list[str]:
    """What is wrong with the name of a namespace."""
    problems = _too_long(name, 63)
    if not re.fullmatch(_LABEL, name) and re.fullmatch(_SUBDOMAIN, name):
        return [*problems, "must not contain dots"]
    return problems + _unlike(name, _LABEL, _OF_LABEL, "my-name", "123-abc")


def of_path_segment(name: str) -> list[str]:
    """What is wrong with the name of a role, which may be nearly anything."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


def of_label_key(key: str) -> list[str]:
    """What is wrong with a qualified name: the key of a label, an annotation in lower case, a finalizer."""
    parts = key.split("/")
    problems: list[str] = []
    if len(parts) > 2:
        text = _regex_text(f"a valid label key {_OF_PART}", _PART, "MyName", "my.name", "123-abc")
        return [f"{text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    if len(parts) == 2:
        wrong = of_subdomain(parts[0]) if parts[0] else ["must be non-empty"]
        problems += [f"prefix part {text}" for text in wrong]
    name = parts[-1]
    wrong = _too_long(name, 63) if name else ["must be non-empty"]
    wrong += _unlike(name, _PART, _OF_PART, "MyName", "my.name", "123-abc")
    return problems + [f"name part {text}" for text in wrong]


def of_label_value(value: str) -> list[str]:
    consist = "consist of alphanumeric characters, '-', '_' or '.'"
    text = f"a valid label must be an empty string or {consist}, {_ALPHANUMERIC}"
    return _too_long(value, 63) + _unlike(value, f"({_PART})?", text, "MyValue", "my_value", "12345")


def of_config_key(key: str) -> list[str]:
    """What is wrong with a key of a Secret or ConfigMap."""
    text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    problems = _too_long(key, 253) + _unlike(key, _CONFIG_KEY, text, "key.name", "KEY_NAME", "key-name")
    if key in (".", ".."):
        return [*problems, f"must not be '{key}'"]
    return [*problems, "must not start with '..'"] if key.startswith("..") else problems


def _too_long(text: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} bytes"] if len(text.encode()) > limit else []


def _unlike(text: str, regex: str, message: str, *examples: str) -> list[str]:
    return [] if re.fullmatch(regex, text) else [_regex_text(message, regex, *examples)]


def _regex_text(message: str, regex: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{regex}')"
