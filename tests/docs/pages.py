"""Follows a page of the manual as a reader would: every shell block, in order, in one shell."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from confsync.testing.etcd import find_etcd
from confsync.testing.ports import free_port

PATIENCE = (
    120.0  # seconds: a source that was down is asked again within half a minute, on a busy machine later
)
LOOKS = ("cat ", "grep ", "ls ", "stat ", "kubectl get ", "confsync status", "confsync explain")
"""Commands that only look: until they show what the page shows, a reader may have to look again."""
_NOT_OURS = ("ETCD", "CONFSYNC_", "VAULT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True)
class Block:
    """A shell block and the output the page shows below it."""

    line: int
    commands: str
    shown: str | None

    @property
    def only_looks(self) -> bool:
        return all(command.startswith(LOOKS) for command in self.commands.splitlines())


def blocks_of(page: str) -> list[Block]:
    fences = list(re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    found: list[Block] = []
    for number, fence in enumerate(fences):
        if fence[1] != "sh":
            continue
        following = fences[number + 1] if number + 1 < len(fences) else None
        shown = following[2] if following and following[1] == "text" else None
        found.append(Block(page[: fence.start()].count("\n") + 1, fence[2], shown))
    return found


def with_own_etcd(page: str) -> str:
    """The page with free ports for its etcd, which may take its time, on a machine that is busy."""
    for port in ("12379", "12380"):
        page = page.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    return re.sub(r"(backend: etcd, endpoints: \[.*?\])", r"\1, timeout: 30s", page)


class Shell:
    """One bash, as a reader's terminal; gives what each block prints."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=directory, env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def run(self, commands: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{commands}\necho END OF BLOCK\n")
        self._process.stdin.flush()
        lines: list[str] = []
        while (line := self._lines.get(timeout=PATIENCE)) != "END OF BLOCK\n":
            lines.append(line)
        return "".join(lines)

    def close(self) -> None:
        """End the shell and what was started in it and is still there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._reader.join(30)
        self._process.stdin.close()
        self._process.stdout.close()


@contextmanager
def a_shell(directory: Path, *programs: str) -> Iterator[Shell]:
    """A reader's shell, with the confsync of this interpreter, and the etcd the other tests use.

    Args:
        programs: what else the page needs; without one of them the test fails.
    """
    for program in ("bash", *programs):
        if shutil.which(program) is None:
            pytest.fail(f"no {program}: it is needed to follow the page")
    path = [str(Path(sys.executable).parent), str(Path(find_etcd()).parent), os.environ["PATH"]]
    kept = {name: text for name, text in os.environ.items() if not name.upper().startswith(_NOT_OURS)}
    shell = Shell(directory, {**kept, "PATH": ":".join(path), "LC_ALL": "C.UTF-8"})
    try:
        yield shell
    finally:
        shell.close()


def follow(shell: Shell, blocks: Iterable[Block], home: Path) -> None:
    """Run the blocks in order; each prints what the page shows, where the reader is /home/you."""
    for block in blocks:
        deadline = time.monotonic() + PATIENCE
        printed = shell.run(block.commands)
        if block.shown is None:
            assert printed == "", f"line {block.line} prints what the page does not show: {printed}"
            continue
        shown = essential(block.shown, "/home/you")
        while block.only_looks and essential(printed, str(home)) != shown and time.monotonic() < deadline:
            threading.Event().wait(0.1)
            printed = shell.run(block.commands)
        found = essential(printed, str(home))
        assert found == shown, f"at line {block.line} of the page:\n{found}\nbut the page shows:\n{shown}"


def essential(text: str, home: str) -> str:
    """`text` without what differs each time it is printed: places, times, ids, users, what is drawn at random."""
    text = text.replace(home, "HOME")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", "TIME", text)
    text = re.sub(r"(uid: |resourceVersion: )\S+", r"\1ID", text)
    text = re.sub(r"\b([0-9a-f]{32}\.)?[0-9a-f]{64}\b", "CHECKSUM", text)
    text = re.sub(r" {2,}\d+[smh](\d+[sm])?$", "  AGE", text, flags=re.MULTILINE)
    text = re.sub(r"\b(for )([\d.]+(ms|[smhd]))+\b", r"\1A WHILE", text)
    text = re.sub(r"(process )\d+", r"\1ID", text)
    return re.sub(r"\((0\d{3}) \S+:\S+\)", r"(\1 WHO)", text)
