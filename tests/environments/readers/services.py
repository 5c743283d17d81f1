"""The rules of GitHub's runner, of GitLab, and of VS Code."""

from __future__ import annotations

import json
import re

from . import Misread


def github(text: str, *, windows: bool = False) -> dict[str, str]:
    """actions/runner, `FileCommandManager.cs`: the file of $GITHUB_ENV."""
    found = {}
    lines = _Lines(text, windows)
    while (line := lines.next()) is not None:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if heredoc < 0 or 0 <= equals < heredoc:
            name, _, found[name] = line.partition("=")
            continue
        name, _, delimiter = line.partition("<<")
        if not name or not delimiter:
            raise Misread("a name and a delimiter must not be empty")
        if name.upper() == "NODE_OPTIONS":
            raise Misread("can't store NODE_OPTIONS")
        found[name] = _heredoc(lines, delimiter)
    return found


class _Lines:
    def __init__(self, text: str, windows: bool) -> None:
        self.text, self.at, self.ending, self._windows = text, 0, "", windows

    def next(self) -> str | None:
        if self.at >= len(self.text):
            return None
        begin, end = self.at, self.text.find("\n", self.at)
        if end < 0:
            raise Misread("the last line has no end")
        self.at = end + 1
        self.ending = "\r\n" if self._windows and self.text[begin:end].endswith("\r") else "\n"
        return self.text[begin : self.at - len(self.ending)]


def _heredoc(lines: _Lines, delimiter: str) -> str:
    begin = end = lines.at
    while (line := lines.next()) != delimiter:
        if line is None:
            raise Misread("matching delimiter not found")
        end = lines.at - len(lines.ending)
    return lines.text[begin:end] if end > begin else ""


def masked(commands: str) -> list[str]:
    """What the runner masks: `::add-mask::DATA` lines (`ActionCommand.cs`)."""
    found = []
    for line in commands.splitlines(keepends=True):
        data = line.removeprefix("::add-mask::").removesuffix("\n")
        if not line.startswith("::add-mask::") or not data.strip():
            raise Misread("no mask, or an empty one")
        found.append(data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%"))
    return found


def gitlab(text: str) -> dict[str, str]:
    """GitLab, `Ci::ParseDotenvArtifactService`, and the runner, which expands what comes so."""
    if len(text.encode()) >= 5 * 1024:
        raise Misread("Dotenv Artifact Too Big")
    found = {}
    for line in text.split("\n")[:-1]:
        match = re.fullmatch(r"(.*?)=(.*)", line)
        if match is None:
            raise Misread("Invalid Format")
        name, value = (part.strip("\0\t\n\v\f\r ") for part in match.groups())
        if not re.fullmatch(r"[a-zA-Z0-9_]{1,255}", name) or "$" in value:
            raise Misread(f"{name}: no name, or expanded")
        found[name] = value
    if len(found) > 150:
        raise Misread("Dotenv files cannot have more than 150 variables")
    return found


def vscode(text: str) -> dict[str, str]:
    """The terminal's environment on one system, nothing substituted in it, neither as before 2025 nor as since."""
    settings = json.loads(text)
    systems = [settings.pop(f"terminal.integrated.env.{system}") for system in ("linux", "osx", "windows")]
    assert settings == {}
    assert systems == [systems[0]] * 3
    for value in (part for pair in systems[0].items() for part in pair):
        if re.search(r"\$\{(.*?)\}", value) or _balanced(value):
            raise Misread("VS Code would substitute")
    return systems[0]


def _balanced(value: str) -> bool:
    """`parseVariable`: a `${` whose braces close."""
    for begin in (match.end() for match in re.finditer(r"\$\{", value)):
        depth = 1
        for char in value[begin:]:
            depth += {"{": 1, "}": -1}.get(char, 0)
            if not depth:
                return True
    return False
