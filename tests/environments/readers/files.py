"""The rules of what reads files of assignments: docker, node, docker compose and systemd."""

from __future__ import annotations

import re

from . import Misread

_SPACES = " \t\v\f\r\x85\xa0"


def docker(text: str) -> dict[str, str]:
    """The docker CLI's `pkg/kvfile`: Go's ScanLines, no quotes, blanks before the name taken off."""
    found = {}
    lines = text.split("\n")
    for line in lines[:-1] if lines[-1] == "" else lines:
        if len(line.encode()) >= 64 * 1024:
            raise Misread("token too long")
        kept = line.removesuffix("\r").lstrip()
        if not kept or kept.startswith("#"):
            continue
        name, equals, value = kept.partition("=")
        if not name or any(char.isspace() for char in name):
            raise Misread("no name, or blanks in it")
        if equals:
            found[name] = value
    return found


def node(text: str) -> dict[str, str]:
    """`Dotenv::ParseContent` of node's src/node_dotenv.cc (20.12 and later)."""
    found = {}
    left = text.replace("\r", "").strip(" \t\n")
    while left:
        if left[0] in "\n#":
            left = left.partition("\n")[2]
            continue
        name, equals, left = left.partition("=")
        if not equals or not name.strip():
            break
        name = name.strip(" \t\n").removeprefix("export ")
        value, left = _node_value(left)
        found[name] = value
    return found


def _node_value(left: str) -> tuple[str, str]:
    quote = left[:1]
    if quote and quote in "'\"`" and quote in left[1:]:
        end = left.index(quote, 1)
        value = left[1:end]
        rest = left[end + 1 :].partition("\n")[2]
        return (value.replace("\\n", "\n") if quote == '"' else value), rest
    line, _, rest = left.partition("\n")
    return line.partition("#")[0].strip(" \t\n"), rest


_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0\d{0,3})')
_C = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_SUBSTITUTED = re.compile(r"\$(?:(?P<escaped>\$)|(?P<named>[_a-zA-Z]\w*|\{)|(?P<invalid>))", re.ASCII)


def compose(text: str) -> dict[str, str]:
    """compose-go's `dotenv/parser.go` and `template/template.go`, version 2."""
    found = {}
    while text := text.lstrip():
        if text[0] == "#":
            text = text.partition("\n")[2]
            continue
        match = re.match(r"(?:export\s+)?([\w.\-\[\]]+)[ \t]*[=:]", text)
        if match is None:
            raise Misread(f"no name in {text[:20]!r}")
        found[match[1]], text = _compose_value(text[match.end() :].lstrip(_SPACES))
    return found


def _compose_value(text: str) -> tuple[str, str]:
    if text[:1] not in ("'", '"'):
        line, _, rest = text.partition("\n")
        return _expanded(line.partition(" #")[0].rstrip()), rest
    quote, chars, at = text[0], [], 1
    while text[at] != quote:
        if text[at] == "\\":
            at += 1
            chars.append(text[at] if text[at] == quote else "\\" + text[at])
        else:
            chars.append(text[at])
        at += 1
    value = "".join(chars)
    return (_expanded(_ESCAPE.sub(_escaped, value)) if quote == '"' else value), text[at + 1 :]


def _escaped(match: re.Match[str]) -> str:
    what = match[0][1:]
    if what == "$":
        return "$$"
    if what[0] == "0":
        return chr(int(what[1:], 8)) if len(what) == 4 else match[0]
    return _C.get(what, match[0])


def _expanded(value: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match["escaped"] is None:
            raise Misread(f"compose would expand at {match.start()}")
        return "$"

    return _SUBSTITUTED.sub(one, value)


def systemd(text: str) -> dict[str, str]:
    """systemd.exec(5), EnvironmentFile=, where what follows a closing quote is only the line's end."""
    if any(_not_allowed(ord(char)) for char in text):
        raise Misread("systemd reads nothing of a file with such a character")
    found = {}
    at = 0
    while at < len(text):
        line = text[at:].partition("\n")[0]
        name, equals, _ = line.partition("=")
        if not equals or line[0] in "#;":
            at += len(line) + 1
            continue
        found[name], at = _systemd_value(text, at + len(name) + 1)
    return found


def _not_allowed(code: int) -> bool:
    return code in (0, 0xFEFF) or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _systemd_value(text: str, at: int) -> tuple[str, int]:
    quote = text[at] if text[at] in "'\"" else "\n"
    at += quote != "\n"
    chars = []
    while text[at] != quote:
        escapes = '"\\`$\n' if quote == '"' else "" if quote == "'" else None
        if text[at] == "\\" and (escapes is None or text[at + 1] in escapes):
            chars.append(text[at + 1].replace("\n", ""))
            at += 2
        else:
            chars.append(text[at])
            at += 1
    value = "".join(chars)
    if quote == "\n":
        return value.strip(" \t\r"), at + 1
    if text[at + 1] != "\n":
        raise Misread("something after the closing quote")
    return value, at + 2
