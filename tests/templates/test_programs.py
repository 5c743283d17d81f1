"""The programs themselves, where they are installed: they take what the templates make, and read the hostile values.

No test needs them: where one is missing its tests are skipped, and test_read_back.py says what it would read.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from stand_ins.stock import Kitchen, stock_file

from confsync.testing.waiting import eventually

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"


def program(name: str) -> str:
    """Where it is; without it the test is skipped."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def accepted(*command: str | Path, where: Path | None = None, **environ: str) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(
        command, cwd=where, env={**os.environ, **environ}, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def proposed_check(template: str) -> str:
    """The shell of the check that its configuration has commented out."""
    text = stock_file(template, "confsync.yaml").partition("    # check:")[2].partition("    # reload:")[0]
    lines = text.partition("\n")[2].splitlines()
    shell: str = yaml.safe_load("\n".join(line.removeprefix("    # ") for line in lines))["shell"]
    return shell


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate and its key in one file."""
    key, found = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ("-subj", "/CN=example.test", "-days", "2")
    accepted(
        program("openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        *subject,
        "-keyout",
        key,
        "-out",
        found,
    )
    both = tmp_path / "both.pem"
    both.write_text(key.read_text() + found.read_text())
    return both


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_nginx_takes_the_site(environment: str, tmp_path: Path, certificate: Path) -> None:
    nginx = program("nginx")
    site = (GOLDEN / "nginx" / environment / "site.conf").read_text()
    for path in ("/etc/ssl/shop.example.com.crt", "/etc/ssl/private/shop.example.com.key"):
        site = site.replace(path, str(certificate))
    whole = f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {site} }}"
    (tmp_path / "nginx.conf").write_text(whole)

    accepted(nginx, "-t", "-q", "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf")


def test_the_check_that_is_proposed_for_nginx_takes_what_is_right_and_nothing_else(tmp_path: Path) -> None:
    directory = Path(program("nginx")).parent
    shell = proposed_check("nginx")
    staged = tmp_path / "staged"
    path = f"{os.environ['PATH']}:{directory}"

    for text, status in (("server { listen 127.0.0.1:1; }", 0), ("server {", 1)):
        staged.write_text(text)
        environ = {**os.environ, "CONFSYNC_STAGED": str(staged), "PATH": path, "TMPDIR": str(tmp_path)}
        done = subprocess.run(["/bin/sh", "-c", shell], env=environ, capture_output=True, text=True)
        if "Permission denied" in done.stderr:
            pytest.skip("nginx cannot be asked without rights to its log")
        assert done.returncode == status, done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["staged"]


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the name of its server, and with the header Connection that it got."""

    def do_GET(self) -> None:
        said = f"{self.server.server_port} {self.headers['Connection']}".encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echoes() -> Iterator[list[int]]:
    """The ports of two servers."""
    with ExitStack() as stack:
        servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) for _ in range(2)]
        for server in servers:
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield [server.server_port for server in servers]


@pytest.mark.parametrize("app", ["shop", "1shop", "http"])
def test_nginx_passes_a_request_on_to_where_its_route_goes(
    app: str, echoes: list[int], tmp_path: Path
) -> None:
    nginx, (usual, api) = program("nginx"), echoes
    values = {
        "app/name": app, "upstream/one": f"127.0.0.1:{usual}", "server/port": "1",
        "upstream/api/one": f"127.0.0.1:{api}", "route/api": "/a%20b/",
    }  # fmt: skip
    [(_, site)] = Kitchen("nginx", tmp_path).made(values)
    socket_path = tmp_path / "s"
    site = site.replace("listen 1;", f"listen unix:{socket_path};")
    whole = (
        f"daemon off; master_process off; pid {tmp_path}/pid; events {{}} http {{ access_log off; {site} }}"
    )
    (tmp_path / "nginx.conf").write_text(whole)

    words = [nginx, "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"]
    tried = subprocess.run([*words, "-t"], capture_output=True, text=True)
    if "Permission denied" in tried.stderr:
        pytest.skip("nginx cannot run without rights to its directories")
    with subprocess.Popen(words) as process:
        try:
            got = [
                answer_of(socket_path, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                for path in ("/", "/a%20b/c", "/%61%20b/")
            ]
        finally:
            process.kill()

    assert [body.split() for body in got] == [[str(port), "None"] for port in (usual, api, api)]


def answer_of(path: Path, request: str) -> str:
    """The body of the answer to a request."""
    with connected(path) as connection:
        connection.sendall(request.encode())
        found = b""
        while chunk := connection.recv(65536):
            found += chunk
    return found.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize("environment", ["dev", "prod", "hostile"])
def test_haproxy_takes_the_configuration(environment: str, tmp_path: Path, certificate: Path) -> None:
    text = (GOLDEN / "haproxy" / environment / "haproxy.cfg").read_text()
    if environment == "hostile":  # a path no file system has: the password stays
        text = text.replace(next(line for line in text.splitlines() if " ssl crt " in line), "")
    text = text.replace("/etc/ssl/private/shop.example.com.pem", str(certificate))
    text = re.sub("^ +(user|group) .*\n", "", text, flags=re.MULTILINE)  # whom not every machine has
    (tmp_path / "haproxy.cfg").write_text(text)

    accepted(program("haproxy"), "-c", "-f", tmp_path / "haproxy.cfg")


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_envoy_takes_the_configuration(environment: str) -> None:
    accepted(program("envoy"), "--mode", "validate", "-c", GOLDEN / "envoy" / environment / "envoy.yaml")


def test_the_check_that_is_proposed_for_envoy_gives_it_a_name_that_it_takes_for_yaml(tmp_path: Path) -> None:
    """What is staged has another: .envoy.yaml.confsync-6c6e415dad02."""
    staged, stand_in = tmp_path / ".envoy.yaml.confsync-1", tmp_path / "bin/envoy"
    staged.write_text("admin: {}\n")
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\ncase $4 in *.yaml) exec grep -q "^admin:" "$4" ;; *) exit 2 ;; esac\n')
    stand_in.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    environ = {
        "PATH": f"{stand_in.parent}:{os.environ['PATH']}",
        "CONFSYNC_STAGED": str(staged),
        "TMPDIR": str(tmp_path / "tmp"),
    }

    for text, status in (("admin: {}\n", 0), ("nonsense\n", 1)):
        staged.write_text(text)
        assert subprocess.run(["/bin/sh", "-c", proposed_check("envoy")], env=environ).returncode == status
    assert list((tmp_path / "tmp").iterdir()) == []


def test_redis_reads_the_hostile_password(tmp_path: Path) -> None:
    server = program("redis-server")
    lines = (GOLDEN / "redis" / "hostile" / "redis.conf").read_text().splitlines()
    kept = [
        line
        for line in lines
        if not line.startswith(("tls-", "dir ", "replicaof", "bind", "port", "masterauth"))
    ]
    wanted = yaml.safe_load((HERE / "hostile" / "redis.yaml").read_text())["auth"]["password"]
    configuration = tmp_path / "redis.conf"
    configuration.write_text("\n".join([*kept, "port 0", f"dir {tmp_path}", "unixsocket redis.sock"]) + "\n")

    with subprocess.Popen([server, configuration], cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            answers = redis_answers(
                tmp_path / "redis.sock", [["AUTH", wanted], ["CONFIG", "GET", "requirepass"]]
            )
        finally:
            process.kill()

    assert answers.startswith(b"+OK\r\n")
    assert wanted.encode() in answers


def connected(path: Path) -> socket.socket:
    """A connection to a server that may be starting still."""
    found: list[socket.socket] = []

    def connect() -> bool:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        if connection.connect_ex(str(path)):
            connection.close()
            return False
        found.append(connection)
        return True

    eventually(connect)
    return found[0]


def redis_answers(path: Path, commands: list[list[str]]) -> bytes:
    """What a server says to commands, in its protocol."""
    with connected(path) as connection:
        for words in [*commands, ["QUIT"]]:
            encoded = [word.encode() for word in words]
            parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
            connection.sendall(b"*%d\r\n" % len(words) + b"".join(parts))
        found = b""
        while chunk := connection.recv(65536):
            found += chunk
    return found


def test_postgresql_reads_the_hostile_parameters(tmp_path: Path) -> None:
    postgres = program("postgres")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text(accepted(postgres, "--version").split()[2].partition(".")[0])
    lines = (GOLDEN / "postgresql" / "hostile" / "postgresql.conf").read_text().splitlines(keepends=True)
    (data / "postgresql.conf").write_text(
        "".join(one for one in lines if not one.startswith("shared_buffers"))
    )
    values = yaml.safe_load((HERE / "hostile" / "postgresql.yaml").read_text())

    for name, wanted in (("ssl_key_file", values["tls"]["key_file"]), ("listen_addresses", "*")):
        assert accepted(postgres, "-C", name, "-D", data).removesuffix("\n") == wanted


def test_the_check_that_is_proposed_for_postgresql_takes_what_is_right_and_nothing_else(
    tmp_path: Path,
) -> None:
    """By root as well, who is let do nothing else with the server."""
    found = re.search("    # check: (.*postgres.*)", stock_file("postgresql", "confsync.yaml"))
    assert found is not None
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    postgres = program("postgres")
    (data / "PG_VERSION").write_text(accepted(postgres, "--version").split()[2].partition(".")[0])
    staged = tmp_path / "staged"
    there = {"{staged}": str(staged), "/var/lib/postgresql/15/main": str(data)}
    command = [postgres, *yaml.safe_load(found[1])[1:]]
    command = [re.sub("|".join(map(re.escape, there)), lambda it: there[it[0]], word) for word in command]

    for line, status in (("work_mem = '4MB'", 0), ("work_mem = 'lots'", 1)):
        staged.write_text(f"{line}\n")
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        assert done.returncode == status, done.stderr


@pytest.mark.parametrize("environment", ["dev", "prod", "hostile"])
def test_promtool_takes_the_configuration(environment: str) -> None:
    # Syntax only: no file of rules has the hostile name.
    where = GOLDEN / "prometheus" / environment
    accepted(program("promtool"), "check", "config", "--syntax-only", "prometheus.yml", where=where)


def test_systemd_takes_the_drop_in(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    unit = tmp_path / "shop.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    drop_in = tmp_path / "shop.service.d" / "50-confsync.conf"
    drop_in.parent.mkdir()
    for environment in ("prod", "hostile"):
        shutil.copy(GOLDEN / "systemd" / environment / "50-confsync.conf", drop_in)
        done = subprocess.run(
            [analyze, "verify", "--man=no", unit],
            env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:", "SYSTEMD_LOG_LEVEL": "warning"},
            capture_output=True,
            text=True,
            timeout=180,
        )
        told = [line for line in done.stderr.splitlines() if str(drop_in) in line]
        if "Failed to" in done.stderr and not told:
            pytest.skip(f"systemd-analyze cannot work here: {done.stderr.splitlines()[0]}")
        assert told == []


@pytest.mark.parametrize("environment", ["dev", "prod", "hostile"])
def test_php_reads_the_constants(environment: str, tmp_path: Path) -> None:
    php = program("php")
    shutil.copy(GOLDEN / "wordpress" / environment / "wp-config.php", tmp_path)
    (tmp_path / "wp-settings.php").write_text("<?php echo json_encode(get_defined_constants(true)['user']);")

    found = json.loads(accepted(php, "-n", tmp_path / "wp-config.php"))

    if environment == "hostile":
        values = yaml.safe_load((HERE / "hostile" / "wordpress.yaml").read_text())
        assert found["DB_PASSWORD"] == values["db"]["password"]
        assert found["AUTH_SALT"] == values["salt"]["auth_salt"]
        assert {name: found[name] for name in values["define"]} == {**values["define"], "B": -5, "D": True}
    assert found["DISALLOW_FILE_EDIT"] is True
