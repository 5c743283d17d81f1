"""Writes docs/assets: what `diff`, `plan` and `env` print on a terminal of 110 columns, as pictures.

    python docs/record.py [DIRECTORY]     (or: make docs)

The commands are run for real, in a scratch directory that the pictures call /home/you/shop. Stores in memory stand in
for etcd and Vault (`confsync.testing`): they have revisions and versions as those have, and no times. So what is
written depends on nothing but the code, and a test can tell whether it was forgotten.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import tempfile
import termios
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
COLUMNS = 110
AT_HOME = "/home/you/shop"

# The shop

CONFIG = """\
sources:
  etcd:  {backend: memory, name: shop}
  vault: {backend: secrets, name: shop, sensitive: true}
environments:
  staging: {etcd: /staging/shop, vault: secret/staging/shop}
  prod:    {etcd: /prod/shop,    vault: secret/prod/shop}
defaults: {environment: prod}
state_dir: state

local:                                      # what may come down to a laptop
  prod:
    deny: ["db/*", "vault:db"]
    substitute: {db/host: localhost, "vault:db#password": dev}

keys:                                       # what the values are
  api/url:     {about: "the payment provider", owner: team-pay, type: url, required: true}
  api/timeout: {about: "how long checkout waits for it", owner: team-pay, type: duration}
  db/host:     {about: "the primary", owner: team-db, type: host}

syncs:
  checkout:
    template:
      inline: |
        url = {{ etcd("api/url") }}
        timeout = {{ etcd("api/timeout") }}
        database = {{ etcd("db/host") }}/{{ etcd("db/name") }}
    to: {file: {path: checkout.conf, mode: "0640"}}
  credentials:
    data: {DB_HOST: "etcd:db/host", DB_PASSWORD: "vault:db#password", MAIL_PASSWORD: "vault:mail#password"}
    to: {file: credentials.env}
"""

VALUES = {
    "staging/shop/api/url": "https://pay.staging.example.com",
    "staging/shop/api/timeout": "5s",
    "staging/shop/db/host": "db.staging.internal",
    "staging/shop/db/name": "shop",
    "prod/shop/api/url": "https://pay.example.com",
    "prod/shop/api/timeout": "500ms",
    "prod/shop/db/host": "db.prod.internal",
    "prod/shop/db/name": "shop",
    "prod/shop/feature/express": "on",
}
SECRETS = {
    "staging/shop/db": {"password": "staging-pw"},
    "staging/shop/pay": {"token": "sk_test_4711"},
    "staging/shop/mail": {"user": "shop", "password": "m1"},
    "prod/shop/db": {"password": "s3cr3t-of-prod"},
    "prod/shop/pay": {"token": "sk_live_0815"},
    "prod/shop/mail": {"user": "shop", "password": "m2"},
}
DRIVERS = """\
[confsync.backends]
memory = confsync.testing.memory:MemoryBackend
secrets = confsync.testing.memory_secrets:MemorySecretsBackend
"""


def stock(*, later: bool) -> None:
    """Fill this process's stores.

    Args:
        later: when two values have changed since the files were made.
    """
    from confsync.testing.memory import shared_store
    from confsync.testing.memory_secrets import shared_secrets

    values, secrets = shared_store("shop"), shared_secrets("shop")
    for key, value in VALUES.items():
        values.put(key, value.encode())
    for path, fields in SECRETS.items():
        secrets.put(f"secret/{path}", fields)
    secrets.deny("secret/prod/shop/pay")
    if later:
        values.put("prod/shop/api/timeout", b"2s")
        secrets.put("secret/prod/shop/mail", {"user": "shop", "password": "m3"})


# The recordings


class Scene(NamedTuple):
    """A picture to be made.

    Attributes:
        name: of its file.
        command: as it is typed.
        later: see `stock`.
    """

    name: str
    command: str
    later: bool = False


SCENES = (
    Scene("diff", "confsync diff staging prod"),
    Scene("diff-sync", "confsync diff staging prod --sync checkout"),
    Scene("env", "confsync env prod"),
    Scene("plan", "confsync plan", later=True),
)


class Shop:
    """The scratch directory, in which commands are run as a person at a terminal does."""

    def __init__(self, root: Path) -> None:
        self._directory = root / "shop"
        self._directory.mkdir()
        (self._directory / "confsync.yaml").write_text(CONFIG)
        drivers = root / "site" / "drivers-1.dist-info"
        drivers.mkdir(parents=True)
        (drivers / "METADATA").write_text("Metadata-Version: 2.1\nName: drivers\nVersion: 1\n")
        (drivers / "entry_points.txt").write_text(DRIVERS)
        path = os.pathsep.join(filter(None, (str(root / "site"), os.environ.get("PYTHONPATH"))))
        self._environment = {
            **{name: value for name, value in os.environ.items() if name.startswith("PYTHON")},
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "HOME": str(root),
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
        }

    def printed(self, scene: Scene) -> str:
        """What the terminal gets of a scene's command, its escape sequences included."""
        words = ["later" if scene.later else "now", *scene.command.split()]
        terminal, ours = _terminal()
        try:
            process = subprocess.Popen(
                [sys.executable, __file__, "--inside", *words], cwd=self._directory, env=self._environment,
                stdin=ours, stdout=ours, stderr=ours, start_new_session=True,
            )  # fmt: skip
            os.close(ours)
            text = _everything_of(terminal)
            process.wait(60)
        finally:
            os.close(terminal)
        return text.replace(str(self._directory), AT_HOME).replace("memory:", "vault:")


def _terminal() -> tuple[int, int]:
    """A terminal's two ends: the one that reads what is shown, and the programs'."""
    reading, programs = os.openpty()
    fcntl.ioctl(programs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    modes = termios.tcgetattr(programs)
    modes[1] &= ~termios.OPOST  # line breaks stay as they are printed
    termios.tcsetattr(programs, termios.TCSANOW, modes)
    return reading, programs


def _everything_of(terminal: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the other end any more
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)


# The picture


class Style(NamedTuple):
    """How a character is drawn."""

    colour: str = "text"
    bold: bool = False


PLAIN = Style()
BACKGROUND = "#0d1117"
COLOURS = {
    "text": "#e6edf3", "dim": "#8b949e", "red": "#ff7b72", "green": "#56d364", "yellow": "#e3b341",
    "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#e6edf3",
}  # fmt: skip
"""Light on a dark ground of its own: it does not matter on which ground a page shows the picture."""

_SGR = {str(30 + number): name for number, name in enumerate(
    ("text", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
)}  # fmt: skip
_SEQUENCE = re.compile(r"\x1b\[([\d;]*)m")

CELL, LINE, MARGIN = 7.8, 18, 16  # pixels: the width of a character, the height of a line, the space around
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"


Cell = tuple[str, Style]


def cells_of(text: str) -> list[list[Cell]]:
    """The terminal's lines, wrapped at its last column: characters with their styles.

    Raises:
        ValueError: the text has what is no character of one column, and no colour.
    """
    lines: list[list[Cell]] = [[]]
    style, at = PLAIN, 0
    while at < len(text):
        if sequence := _SEQUENCE.match(text, at):
            style, at = _styled(style, sequence[1]), sequence.end()
            continue
        if text[at] == "\n":
            lines.append([])
        else:
            if len(lines[-1]) == COLUMNS:
                lines.append([])
            lines[-1].append((_one_column(text[at]), style))
        at += 1
    return lines if lines[-1] else lines[:-1]


def _styled(style: Style, codes: str) -> Style:
    for code in codes.split(";"):
        if code in ("", "0"):
            style = PLAIN
        elif code == "1":
            style = style._replace(bold=True)
        elif code == "2":
            style = style._replace(colour="dim")
        elif code in _SGR:
            style = style._replace(colour=_SGR[code])
        else:
            raise ValueError(f"docs/record.py does not know how to draw the escape sequence {code!r}")
    return style


def _one_column(character: str) -> str:
    if unicodedata.category(character)[0] in "CM" or unicodedata.east_asian_width(character) in "WF":
        raise ValueError(f"docs/record.py does not know how to draw {character!r}")
    return character


def picture(scene: Scene, printed: str) -> str:
    """The SVG: no fonts, scripts or places elsewhere, and every text escaped."""
    prompt: list[Cell] = [("$", Style("dim"))]
    prompt += [(character, Style(bold=True)) for character in f" {scene.command}"]
    lines = [prompt, *cells_of(printed)]
    width, height = round(COLUMNS * CELL) + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    title = escape(f"{scene.command}, on a terminal")
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        '     role="img" aria-labelledby="title">',
        f'<title id="title">{title}</title>',
        "<!-- Written by docs/record.py (make docs) from what the command prints; change it there. -->",
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        f'<g font-family="{FONT}" font-size="13">',
    ]
    body = [
        _drawn(run, MARGIN + number * LINE + 14) for number, line in enumerate(lines) for run in _runs(line)
    ]
    return "\n".join([*head, *body, "</g>", "</svg>", ""])


class _Run(NamedTuple):
    """Characters of one style without two blanks in a row, which a viewer would make one."""

    column: int
    text: str
    style: Style


def _runs(line: Sequence[Cell]) -> Iterator[_Run]:
    start = 0
    for at in range(1, len(line) + 1):
        if at < len(line) and line[at][1] == line[start][1]:
            continue
        text = "".join(character for character, _ in line[start:at])
        for words in re.finditer(r"\S+(?: \S+)*", text):
            yield _Run(start + words.start(), words[0], line[start][1])
        start = at


def _drawn(run: _Run, y: int) -> str:
    """A text that is as wide as its columns, whichever font there is."""
    bold = ' font-weight="bold"' if run.style.bold else ""
    where = f'x="{MARGIN + run.column * CELL:g}" y="{y}" textLength="{len(run.text) * CELL:g}"'
    return (
        f'<text {where} lengthAdjust="spacingAndGlyphs" fill="{COLOURS[run.style.colour]}"{bold}>'
        f"{escape(run.text)}</text>"
    )


def main(arguments: list[str]) -> None:
    """Write every picture into the directory named, or docs/assets."""
    if arguments[:1] == ["--inside"]:
        _inside(*arguments[1:])
    directory = Path(arguments[0]) if arguments else HERE / "assets"
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        shop = Shop(Path(scratch).resolve())
        shop.printed(Scene("", "confsync apply"))
        for scene in SCENES:
            (directory / f"{scene.name}.svg").write_text(
                picture(scene, shop.printed(scene)), encoding="utf-8"
            )


def _inside(stage: str, *command: str) -> None:
    """Be confsync, in a process that has the stores."""
    from confsync.cli.main import cli

    stock(later=stage == "later")
    sys.argv = list(command)
    cli.main(command[1:], prog_name=command[0])


if __name__ == "__main__":
    main(sys.argv[1:])
