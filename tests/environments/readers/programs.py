"""The programs that read such files, each asked once; a test that needs one that is missing is skipped and says so."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LIBSYSTEMD = next(
    (
        path
        for where in ("/usr/lib", "/lib")
        for path in sorted(Path(where).glob("**/systemd/libsystemd-shared-*.so"))
    ),
    None,
)

_PACKAGES = {"docker": "docker.io", "node": "nodejs"}


def program(name: str) -> str:
    """Where `name` is, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian, Ubuntu: apt-get install {_PACKAGES.get(name, name)})")
    return found


def run(words: list[str], folder: Path, **environment: str) -> bytes:
    """What a command prints, in an environment of its own. It must succeed, and complain of nothing."""
    done = subprocess.run(words, cwd=folder, env=_bare(folder) | environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def _bare(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}


def environment_of(printed: bytes) -> dict[str, str]:
    """What `env -0` printed."""
    pairs = (pair.partition("=") for pair in printed.decode().split("\0") if pair)
    return {name: value for name, _, value in pairs}


def shell(name: str, text: str, folder: Path) -> dict[str, str]:
    """What a shell has after `. FILE`, everything exported."""
    (folder / "file").write_bytes(text.encode())
    return environment_of(run([program(name), "-c", "set -a; . ./file; env -0"], folder))


def fish(text: str, folder: Path) -> dict[str, str]:
    """What fish has after `source FILE`."""
    (folder / "file.fish").write_bytes(text.encode())
    return environment_of(run([program("fish"), "--no-config", "-c", "source file.fish; env -0"], folder))


def direnv(text: str, folder: Path) -> dict[str, str]:
    """What direnv hands to a program started in the directory of an `.envrc`."""
    (folder / ".envrc").write_bytes(text.encode())
    words = [program("direnv")]
    subprocess.run(
        [*words, "allow"], cwd=folder, env=os.environ | {"HOME": str(folder)}, check=True, timeout=60
    )
    return environment_of(run([*words, "exec", str(folder), "env", "-0"], folder, DIRENV_LOG_FORMAT=""))


def python_dotenv(text: str, folder: Path) -> dict[str, str]:
    """What `load_dotenv` puts into the environment of a program."""
    (folder / ".env").write_bytes(text.encode())
    code = "import json, os, dotenv; assert dotenv.load_dotenv('.env'); print(json.dumps(dict(os.environ)))"
    return json.loads(run([sys.executable, "-c", code], folder))


def node(text: str, folder: Path) -> dict[str, str]:
    """What `node --env-file` puts into the environment, which must be what `util.parseEnv` reads."""
    found = program("node")
    if tuple(map(int, run([found, "--version"], folder)[1:].split(b".")[:2])) < (20, 12):
        pytest.skip("node is older than 20.12, which had another reader of env files")
    (folder / ".env").write_bytes(text.encode())
    code = "console.log(JSON.stringify([process.env, require('util').parseEnv(fs.readFileSync('.env', 'utf8'))]))"
    environment, parsed = json.loads(run([found, "--no-warnings", "--env-file=.env", "-e", code], folder))
    assert {name: environment[name] for name in parsed} == parsed
    return environment


def jq(text: str, folder: Path) -> dict[str, str]:
    """What jq reads of a JSON object, printed as it is."""
    (folder / "file.json").write_bytes(text.encode())
    words = [program("jq"), "-j", r'to_entries[] | .key, "=", .value, "\u0000"', "file.json"]
    return environment_of(run(words, folder))


def systemd(text: str, folder: Path) -> dict[str, str]:
    """What systemd's own library reads: the function that `EnvironmentFile=` calls, in a process of its own."""
    if LIBSYSTEMD is None:
        pytest.skip("libsystemd-shared-*.so, which comes with systemd, is not installed")
    (folder / "file").write_bytes(text.encode())
    code = f"""
import ctypes, json
library = ctypes.CDLL({str(LIBSYSTEMD)!r})
pairs = ctypes.POINTER(ctypes.c_char_p)()
status = library.load_env_file(None, b"file", ctypes.byref(pairs))
assert status >= 0, status
found, at = [], 0
while pairs and pairs[at] is not None:
    assert library.env_assignment_is_valid(pairs[at])
    found.append(pairs[at].decode())
    at += 1
print(json.dumps(dict(pair.split("=", 1) for pair in found)))
"""
    return json.loads(run([sys.executable, "-c", code], folder))


def docker(text: str, folder: Path) -> dict[str, str]:
    """The environment of the container that the docker CLI would create, as it tells the server."""
    (folder / "file.env").write_bytes(text.encode())
    with _docker_server() as (url, created):
        run([program("docker"), "create", "--env-file", "file.env", "image"], folder, DOCKER_HOST=url)
    return dict(pair.split("=", 1) for pair in created[0]["Env"])


@contextmanager
def _docker_server() -> Iterator[tuple[str, list[dict]]]:
    """Takes what is to be created, and creates nothing."""
    created: list[dict] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            for name, value in (
                ("Api-Version", "1.41"),
                ("Content-Type", "application/json"),
                ("Content-Length", len(body)),
            ):
                self.send_header(name, str(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self._answer(200, b"OK")

        do_GET = do_HEAD  # noqa: N815 - the name that http.server looks for

        def do_POST(self) -> None:
            created.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(201, b'{"Id": "1", "Warnings": []}')

        def log_message(self, *_: object) -> None:
            """Not on the tests' output."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{server.server_port}", created
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
