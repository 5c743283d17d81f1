"""What a value of each type looks like: `type` under `keys`, checked. No message has anything of the value in it.

A value is checked as it is stored. But for text and documents, nothing stands around it: no blank, no line break at
its end, which most who read it would take for a part of it.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from confsync.config.keys import Key, KeyType
from confsync.units import parse_duration, parse_size

_Check = Callable[[str], "str | None"]
"""Tells what is wrong with a text in particular, "" where there is nothing more to say than what it should be."""


class _Place(str):
    """Where a text is wrong. Of a secret it is not told: there it is as long as that, or longer."""

    __slots__ = ()


class ValueType(NamedTuple):
    """One type.

    Attributes:
        noun: what a wrong value is not: `no port`, `not JSON`.
        means: what a right one is, in a few words.
        check: tells what is wrong; None where nothing is.
        document: whether it may be several lines, empty ones and blanks among them.
    """

    noun: str
    means: str
    check: _Check
    document: bool = False


def problem(kind: KeyType, text: str, *, secret: bool = False) -> str | None:
    """What keeps `text` from being a value of type `kind`: `is no port; write a whole number from 1 to 65535`; or None.

    Nothing of the text is repeated, and of a `secret` nothing told of its length. Thread-safe, and does not look at
    anything but its arguments.
    """
    about = TYPES[kind]
    wrong = _general(text, document=about.document) if kind != "string" else None
    wrong = about.check(text) if wrong is None else wrong
    if wrong is None:
        return None
    if secret and isinstance(wrong, _Place):
        wrong = ""
    return f"is {about.noun}: {wrong}" if wrong else f"is {about.noun}; write {about.means}"


def wrong(key: Key, value: bytes, *, secret: bool = False) -> str | None:
    """What keeps `value` from being what is said of its key; None where nothing does, or nothing is said."""
    if key.type is None and key.one_of is None:
        return None
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as exc:
        return "is not UTF-8 text" if secret else f"is not UTF-8 text (byte {exc.start})"
    found = problem(key.type, text, secret=secret) if key.type is not None else None
    return _other(key.one_of, text) if found is None and key.one_of is not None else found


def _other(allowed: Sequence[str], text: str) -> str | None:
    if text in allowed:
        return None
    listed = ", ".join(map(repr, allowed))
    if text.strip() in allowed:
        return f"has blanks or a line break around it; write one of {listed}"
    return f"is none of {listed}"


def _general(text: str, *, document: bool) -> str | None:
    """What no value of any type but text may be."""
    if not text:
        return "it is empty"
    if document:
        return None
    if text.endswith(("\n", "\r")):
        return "it ends in a line break"
    if not text.isprintable():
        return "it has a line break or another character that cannot be seen"
    if text != text.strip():
        return "it begins or ends with a blank"
    return None


def _matching(pattern: str) -> _Check:
    compiled = re.compile(pattern)
    return lambda text: None if compiled.fullmatch(text) else ""


_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_LONGEST_NAME = 253


def _host(text: str) -> str | None:
    """RFC 1123 section 2.1: letters, digits and `-`, 63 to a label; what ends in a number can only be an IPv4 address.

    One dot at the end is let through, by which a name says that it is whole (RFC 1034 section 3.1).
    """
    if ":" in text:
        return _ip(text)
    name = text.removesuffix(".")
    if name.rpartition(".")[2].isdecimal():
        return _ip(text)
    if len(name) > _LONGEST_NAME:
        return f"a name is at most {_LONGEST_NAME} characters long"
    return None if all(map(_NAME.fullmatch, name.split("."))) else ""


def _ip(text: str) -> str | None:
    if "%" in text:
        return "a zone (what follows %) is of one machine only"
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return ""
    return None


_PREFIX = re.compile(r".+/[0-9]{1,3}", re.DOTALL)


def _cidr(text: str) -> str | None:
    """RFC 4632: a network and the length of its prefix; not the address of a machine in it."""
    if "%" in text or not _PREFIX.fullmatch(text):
        return ""
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return ""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return "it names a machine in a network: bits beyond the prefix are set"
    return None


def _port(text: str) -> str | None:
    return None if re.fullmatch(r"[1-9][0-9]{0,4}", text) and int(text) <= 65535 else ""


def _address(text: str) -> str | None:
    host, colon, port = text.rpartition(":")
    if not colon:
        return "it has no port: host:port"
    if _port(port) is not None:
        return "its port is not a whole number from 1 to 65535"
    return _bracketed_host(host)


def _bracketed_host(host: str) -> str | None:
    """A host where a port may follow it (RFC 3986 section 3.2.2): an IPv6 address stands in brackets."""
    if host.startswith("[") and host.endswith("]"):
        return _ip(host[1:-1]) if ":" in host else ""
    if ":" in host:
        return "an IPv6 address stands in brackets: [::1]:80"
    return None if _host(host) is None else "its host is neither a name nor an IP address"


# Where the hosts end is told by one character, so that a long text is not looked through again from each of its own.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?# ]*)(?:[/?#][^ ]*)?")


def _url(text: str) -> str | None:
    """RFC 3986 section 3, with a host; or several, each with its port, as the clients of databases take them."""
    found = _URL.fullmatch(text)
    if found is None:
        return "it has a blank" if " " in text else ""
    hosts = found[1].rpartition("@")[2]
    if not hosts:
        return "it has no host"
    return next((wrong for wrong in map(_authority, hosts.split(",")) if wrong is not None), None)


def _authority(text: str) -> str | None:
    if text.endswith("]") or ":" not in text:
        return _bracketed_host(text)
    return _address(text)


# https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address: what a form takes. RFC 5322 allows
# comments and quoted names besides, which hardly any program does.
_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+")


def _email(text: str) -> str | None:
    local, at, domain = text.partition("@")
    if not at or not _LOCAL.fullmatch(local):
        return ""
    return None if all(map(_NAME.fullmatch, domain.split("."))) else ""


def _in_units(parse: Callable[[object], float]) -> _Check:
    """By what the units of confsync's own configuration are."""

    def check(text: str) -> str | None:
        if not text.isascii() or " " in text:
            return ""
        try:
            parse(text)
        except ValueError:
            return ""
        return None

    return check


def _path(text: str) -> str | None:
    return None if text.startswith("/") else ""


def _json(text: str) -> str | None:
    """RFC 8259: unlike Python's own reader neither NaN nor Infinity."""
    try:
        json.loads(text, parse_constant=_no_number, parse_int=str, parse_float=str)
    except json.JSONDecodeError as exc:
        return _Place(f"line {exc.lineno}, column {exc.colno}")
    except ValueError:
        return "NaN and Infinity are no numbers there"
    except RecursionError:
        return "it is nested too deep"
    return None


def _no_number(_: str) -> None:
    raise ValueError


_DEEPEST = 100


def _yaml(text: str) -> str | None:
    """One document, of any tags, nested no deeper than `from_yaml` takes: beyond, libyaml takes time by the square."""
    import yaml

    documents, depth, anchors = 0, 0, set()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            documents += isinstance(event, yaml.DocumentStartEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                return f"it is nested more than {_DEEPEST} deep"
            if isinstance(event, yaml.AliasEvent) and event.anchor not in anchors:
                return "there is an alias of nothing"
            if isinstance(event, yaml.NodeEvent):
                anchors.add(event.anchor)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        if mark is None:
            return "it has characters YAML has not"
        return _Place(f"line {mark.line + 1}, column {mark.column + 1}")
    return None if documents == 1 else "it is not one document"


def _base64(text: str) -> str | None:
    """RFC 4648 section 4, strictly (3.1 to 3.3): its alphabet, padded, on one line."""
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        return ""
    return (
        None
        if base64.b64encode(decoded).decode() == text
        else "its last character has bits that are not data"
    )


_BOUNDARY = re.compile(r"-----(BEGIN|END) ([A-Z0-9]+(?:[ -][A-Z0-9]+)*)-----[ \t]*")
_HEADER = re.compile(r"[A-Za-z0-9-]+:.*|[ \t].*")


def _pem(text: str) -> str | None:
    """RFC 7468, in which text may stand around blocks; and the headers of encrypted keys (RFC 1421)."""
    blocks, label, inside = 0, "", []
    for line in text.splitlines():
        boundary = _BOUNDARY.fullmatch(line)
        if boundary is None:
            if "-----BEGIN " in line or "-----END " in line:
                hint = " (its line breaks are written as \\n)" if "\\n" in line else ""
                return f"BEGIN and END stand on lines of their own{hint}"
            inside.append(line)
            continue
        if (boundary[1] == "BEGIN") == bool(label):
            return "a block is begun or ended twice"
        if boundary[1] == "BEGIN":
            label, inside = boundary[2], []
            continue
        if boundary[2] != label:
            return "a block begins and ends with different labels"
        if not _is_block(inside):
            return "what is in a block is not base64"
        blocks, label = blocks + 1, ""
    if label:
        return "a block does not end"
    return None if blocks else ""


def _is_block(lines: list[str]) -> bool:
    if lines and ":" in lines[0]:
        end = next((number for number, line in enumerate(lines) if not line.strip()), 0)
        if not all(map(_HEADER.fullmatch, lines[:end])):
            return False
        lines = lines[end:]
    data = "".join(line.strip() for line in lines)
    return bool(data) and _base64(data) is None


TYPES: Mapping[KeyType, ValueType] = {
    "string": ValueType("no text", "any text", lambda _: None),
    "integer": ValueType(
        "no integer", "a whole number such as 5432 or -1, without leading zeros", _matching(r"-?(0|[1-9][0-9]*)")
    ),
    # RFC 8259 section 6
    "number": ValueType(
        "no number", "a number as JSON has it: 5432, -0.5, 1e6",
        _matching(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"),
    ),
    "boolean": ValueType("no boolean", "true or false, in these letters", _matching("true|false")),
    "host": ValueType("no host", "a name of letters, digits, - and dots, or an IP address", _host),
    "port": ValueType("no port", "a whole number from 1 to 65535", _port),
    "address": ValueType("no address", "host:port; an IPv6 address in brackets: [::1]:80", _address),
    "url": ValueType("no URL", "scheme://host, and what may follow; several hosts are parted by commas", _url),
    "email": ValueType("no e-mail address", "name@domain", _email),
    "ip": ValueType("no IP address", "an IPv4 or IPv6 address", _ip),
    "cidr": ValueType("no CIDR", "a network and its prefix's length: 10.0.0.0/8, fd00::/8", _cidr),
    "duration": ValueType("no duration", "numbers with ms, s, m, h or d: 250ms, 1h30m", _in_units(parse_duration)),
    "size": ValueType(
        "no size", "a whole number of bytes, or with kB, MB, GB, KiB, MiB or GiB: 64MiB", _in_units(parse_size)
    ),
    "path": ValueType("no path", "an absolute path: it begins with /", _path),
    "json": ValueType("not JSON", "one JSON document", _json, document=True),
    "yaml": ValueType("not YAML", "one YAML document", _yaml, document=True),
    "base64": ValueType("not base64", "base64 of the standard alphabet, padded, on one line", _base64),
    "pem": ValueType(
        "not PEM", "one or more blocks from -----BEGIN … to -----END …, base64 between them", _pem, document=True
    ),
}  # fmt: skip
