"""The sidecar works: its containers run as processes beside an app that is signalled, or asked over HTTP, to reload."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from stand_ins.kubelet import Pod, content
from stand_ins.kustomize import Kustomize, named

from confsync.testing.daemon import DaemonProcess
from confsync.testing.ports import free_port
from confsync.testing.waiting import eventually

APP = """
import signal, sys
config, pid_file, seen = sys.argv[1:]
def reload():
    with open(config) as new, open(seen, "a") as notes:
        notes.write(new.read())
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
open(config).close()  # without its configuration it does not start
with open(pid_file, "w") as file:
    print(__import__("os").getpid(), file=file)
while signal.sigwait([signal.SIGHUP]):
    reload()
"""
"""Reads its configuration when it gets SIGHUP, and notes what it read."""


@pytest.fixture
def kustomize(tmp_path: Path) -> Kustomize:
    return Kustomize(tmp_path / "kubernetes")


@pytest.fixture
def health() -> int:
    return free_port()


def pod_of(kustomize: Kustomize, example: str, **rewritten: str) -> Pod:
    manifests = kustomize.render(f"examples/{example}")
    name = example.partition("-")[0]
    return Pod(kustomize.root / "pod", manifests, name, rewritten)


def files_of(kustomize: Kustomize, example: str) -> dict[str, str]:
    return content(named(kustomize.render(f"examples/{example}"), "ConfigMap", "confsync-config"))


def init(pod: Pod) -> subprocess.CompletedProcess[str]:
    command = pod.command("confsync-init")
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


@contextmanager
def sidecar(pod: Pod) -> Iterator[DaemonProcess]:
    with DaemonProcess(pod.command("confsync"), pod.root) as daemon:
        daemon.wait_log("confsync is running")
        yield daemon


@contextmanager
def app(pod: Pod) -> Iterator[Path]:
    """nginx: its configuration and pid file are where the manifests say; gives the file with what it read."""
    command = pod.container("nginx")["command"]
    config = pod.path("nginx", command[command.index("-c") + 1])
    pid_file = pod.path("nginx", "/run/app/nginx.pid")
    seen = pod.root / "seen"
    seen.touch()
    with subprocess.Popen([sys.executable, "-c", APP, config, pid_file, seen]) as process:
        try:
            eventually(pid_file.exists)
            yield seen
        finally:
            process.kill()


def test_an_app_starts_with_its_files_and_is_signalled_when_they_change(
    kustomize: Kustomize, health: int
) -> None:
    pod = pod_of(kustomize, "nginx-signal", **{'":8086"': f'":{health}"'})
    done = init(pod)
    assert done.returncode == 0, done.stdout + done.stderr
    config = pod.path("nginx", "/etc/nginx-confsync/nginx.conf")
    assert "hello from confsync" in config.read_text()

    with app(pod) as seen, sidecar(pod):
        eventually(lambda: "hello from confsync" in seen.read_text())
        files = files_of(kustomize, "nginx-signal")
        pod.bring("confsync-config", {**files, "values.yaml": "greeting: good evening"})
        eventually(lambda: "good evening" in seen.read_text())
        assert alive(health)


def test_an_app_is_asked_over_http_to_reload(kustomize: Kustomize, health: int) -> None:
    port = free_port()
    pod = pod_of(
        kustomize, "prometheus-http", **{'":8086"': f'":{health}"', r"127\.0\.0\.1:9090": f"127.0.0.1:{port}"}
    )
    done = init(pod)
    assert done.returncode == 0, done.stdout + done.stderr
    config = pod.path("prometheus", "/etc/prometheus-confsync/prometheus.yml")
    assert yaml.safe_load(config.read_text())["scrape_configs"][0]["job_name"] == "prometheus"

    with listening(port, config) as asked, sidecar(pod):
        # More than once where the answer came too late.
        eventually(lambda: asked and set(asked) == {("POST /-/reload", "prometheus")})
        files = files_of(kustomize, "prometheus-http")
        pod.bring("confsync-config", {**files, "values.yaml": "scrape: {cart: cart.shop:80}"})
        eventually(lambda: ("POST /-/reload", "cart") in asked)


def test_a_new_template_is_taken_up_without_a_new_pod(kustomize: Kustomize, health: int) -> None:
    pod = pod_of(kustomize, "nginx-signal", **{'":8086"': f'":{health}"'})
    init(pod)
    with app(pod) as seen, sidecar(pod):
        files = files_of(kustomize, "nginx-signal")
        template = files["nginx.conf.j2"].replace("text/plain", "text/html")
        pod.bring("confsync-config", {**files, "nginx.conf.j2": template})
        eventually(lambda: "text/html" in seen.read_text())


def test_what_the_init_container_wrote_the_sidecar_knows_as_its_own(
    kustomize: Kustomize, health: int
) -> None:
    pod = pod_of(kustomize, "nginx-signal", **{'":8086"': f'":{health}"'})
    init(pod)
    config = pod.path("nginx", "/etc/nginx-confsync/nginx.conf")
    with sidecar(pod) as daemon:
        files = files_of(kustomize, "nginx-signal")
        without = files["confsync.yaml"].partition("syncs:")[0]
        pod.bring("confsync-config", {**files, "confsync.yaml": without})
        # Only what the ledger says confsync created is deleted with its sync.
        eventually(lambda: not config.exists())
        daemon.wait_log("configuration reloaded")


def test_the_app_is_not_started_while_its_files_are_not_there(kustomize: Kustomize, health: int) -> None:
    pod = pod_of(kustomize, "nginx-signal", **{'":8086"': f'":{health}"'})
    files = files_of(kustomize, "nginx-signal")
    pod.bring("confsync-config", {**files, "values.yaml": "other: value"})
    done = init(pod)
    assert done.returncode != 0
    assert "greeting" in done.stdout + done.stderr, "the container's log does not say what is missing"

    pod.bring("confsync-config", {**files, "confsync.yaml": "sinks: {}"})
    done = init(pod)
    assert done.returncode != 0
    assert "sinks" in done.stderr


def test_the_app_starts_with_the_last_known_good_files_when_a_source_is_gone(
    kustomize: Kustomize, health: int
) -> None:
    pod = pod_of(kustomize, "nginx-signal", **{'":8086"': f'":{health}"'})
    assert init(pod).returncode == 0
    files = files_of(kustomize, "nginx-signal")
    del files["values.yaml"]
    pod.bring("confsync-config", files)  # the pod's sandbox was made anew, and its volumes are still there
    done = init(pod)
    assert done.returncode == 0, done.stdout + done.stderr


def alive(port: int) -> bool:
    with urlopen(f"http://127.0.0.1:{port}/livez", timeout=30) as answer:
        return bool(answer.status == 200)


@contextmanager
def listening(port: int, config: Path) -> Iterator[list[tuple[str, str]]]:
    """An app that is reloaded over HTTP; gives the requests it got, with the first job of its configuration then."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            job = yaml.safe_load(config.read_text())["scrape_configs"][0]["job_name"]
            asked.append((f"POST {self.path}", job))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
