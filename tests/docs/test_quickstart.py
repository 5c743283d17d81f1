"""Follows docs/quickstart.md word for word: every shell block, in order, in one shell, with a real etcd."""

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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from confsync.testing.etcd import find_etcd, free_port

QUICKSTART = Path(__file__).parents[2] / "docs/quickstart.md"
PATIENCE = 45.0  # seconds: a source that was down is asked again within half a minute
LOOKS = ("cat ", "grep ", "ls ", "confsync status", "confsync explain")
"""Commands that only look: until they show what the page shows, a reader may have to look again."""


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
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    for program in ("bash", "etcdctl"):
        if shutil.which(program) is None:
            pytest.fail(f"no {program}: it is needed to follow the quickstart")
    # The confsync of this interpreter first, then the etcd the other tests use.
    path = [str(Path(sys.executable).parent), str(Path(find_etcd()).parent), os.environ["PATH"]]
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("ETCD", "CONFSYNC_"))
    }
    opened = Shell(tmp_path, {**environment, "PATH": ":".join(path), "LC_ALL": "C.UTF-8"})
    yield opened
    opened.close()


def same(shown: str, printed: str, home: str) -> bool:
    return essential(shown, "/home/you") == essential(printed, home)


def essential(text: str, home: str) -> str:
    """`text` without what differs each time it is printed: places, times, durations, process ids, users."""
    text = text.replace(home, "HOME")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\b(for )[\d.]+m?s(\d+s)?", r"\1A WHILE", text)
    text = re.sub(r"(process )\d+", r"\1ID", text)
    return re.sub(r"\((0\d{3}) \S+:\S+\)", r"(\1 WHO)", text)


@pytest.mark.timeout(300)
def test_the_quickstart_works_word_for_word(shell: Shell, tmp_path: Path) -> None:
    page = QUICKSTART.read_text(encoding="utf-8")
    for port in ("12379", "12380"):
        page = page.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    blocks = blocks_of(page)
    assert len(blocks) > 10
    for block in blocks:
        deadline = time.monotonic() + PATIENCE
        printed = shell.run(block.commands)
        if block.shown is None:
            assert printed == "", f"line {block.line} prints what the page does not show: {printed}"
            continue
        while (
            block.only_looks and not same(block.shown, printed, str(tmp_path)) and time.monotonic() < deadline
        ):
            threading.Event().wait(0.1)
            printed = shell.run(block.commands)
        home = str(tmp_path)
        assert essential(printed, home) == essential(block.shown, "/home/you"), (
            f"at line {block.line} of the page"
        )


def test_every_step_the_manual_promises_is_on_the_page() -> None:
    commands = "\n".join(block.commands for block in blocks_of(QUICKSTART.read_text(encoding="utf-8")))
    for step in (
        "etcdctl put",
        "confsync plan",
        "confsync apply",
        "confsync run",
        "confsync status",
        "kill $etcd",
    ):
        assert step in commands
