"""What the benchmarks of Kubernetes share: an API server in a process of its own, and a project of many Secrets.

The server is the stand-in of the tests. It answers each request some milliseconds later, as a real one does that is
not on this machine; and it says when it had each request, when that was done, and what that cost it, since it is itself
Python and has to share the processors with what is measured. Its clock is CLOCK_MONOTONIC, the same in all processes.

    python _kubernetes.py DIRECTORY DELAY    # the server; the benchmarks start it so
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import yaml
from common import KEYS, cpu_seconds

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

if TYPE_CHECKING:
    from stand_ins.kubernetes import ApiServer
    from stand_ins.kubernetes.request_log import Request

SECRETS, NAMESPACES = 1000, 10
DELAY = 0.003  # seconds by which each answer is late


class Noted(NamedTuple):
    """A request the server had, in the order of the answers.

    Attributes:
        began, ended: when it had come, and when its answer was ready; seconds of time.monotonic().
        dry: whether it was a rehearsal.
    """

    verb: str
    resource: str
    namespace: str
    name: str
    status: int
    began: float
    ended: float
    dry: bool


class ServerProcess:
    """An API server in a process of its own. A context manager; one thread at a time.

    Attributes:
        kubeconfig: the path of one whose user may do everything.
    """

    def __init__(self, directory: Path, delay: float = DELAY) -> None:
        directory.mkdir()
        self.kubeconfig = directory / "kubeconfig"
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(directory), str(delay)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended before, which has been told
            self._process.stdin.close()
        self._process.wait(timeout=20)

    def forget(self) -> None:
        """Begin to count anew."""
        self._ask("forget")

    def requests(self) -> list[Noted]:
        """Those since `forget`; of watches, that they began."""
        return [Noted(*one) for one in self._ask("requests")]

    def wait_for(self, verb: str, namespace: str, name: str, after: float, seconds: float = 60.0) -> Noted:
        """The first such request that is no rehearsal, was granted and was done after a moment; waits for it."""
        found = self._ask("wait", verb, namespace, name, after, seconds)
        if found is None:
            raise TimeoutError(f"no {verb} of {namespace}/{name} in time")
        return Noted(*found)

    def wait_for_count(self, count: int, seconds: float = 120.0) -> None:
        """Wait until so many Secrets have been written."""
        if not self._ask("count", count, seconds):
            raise TimeoutError(f"not {count} Secrets in time")

    def edit(self, namespace: str, name: str, key: str, value: str) -> float:
        """Change a Secret as somebody else would; gives when that was done."""
        return float(self._ask("edit", namespace, name, key, value))

    def delete(self, namespace: str, name: str) -> float:
        """Delete a Secret as somebody else would; gives when that was done."""
        return float(self._ask("delete", namespace, name))

    def watches(self) -> int:
        """How many watches of Secrets run."""
        return int(self._ask("watches"))

    def cpu(self) -> float:
        """Seconds of processor it has used."""
        return cpu_seconds(self._process.pid)

    def _ask(self, *what: object) -> Any:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the API server ended, with status {self._process.wait(timeout=20)}")
        answer = json.loads(line)
        if answer.get("failed"):
            raise RuntimeError(f"the API server failed: {answer['failed']}")
        return answer["given"]


def namespace_of(number: int) -> str:
    """Where Secret `number` is: a hundred in each."""
    return f"bench{number % NAMESPACES}"


def source_of(endpoint: str | None) -> dict[str, Any]:
    """The source `etcd`: a real one, or values.yaml."""
    if endpoint is not None:
        return {"backend": "etcd", "endpoints": [endpoint]}
    return {"backend": "file", "path": "values.yaml"}


def make_secrets(
    project: Path,
    server: ServerProcess,
    endpoint: str | None,
    *,
    for_each: bool = False,
    interval: str = "60s",
    **options: float,
) -> None:
    """1,000 Secrets of ten keys each, 100 in each of ten namespaces.

    Args:
        endpoint: of etcd; None is a file source.
        for_each: one sync with all of them, instead of a sync for each.
        options: of the cluster.
    """
    project.mkdir()
    config: dict[str, Any] = {
        "sources": {"etcd": source_of(endpoint)},
        "environments": {"bench": {"etcd": "/bench" if endpoint else "bench"}},
        "defaults": {"environment": "bench", "interval": interval},
        "clusters": {"bench": {"kubeconfig": str(server.kubeconfig), **options}},
        "syncs": _one_sync() if for_each else _many_syncs(),
    }
    if endpoint is None:
        values = {f"s{n}": {f"k{key}": f"value {n} {key}" for key in range(KEYS)} for n in range(SECRETS)}
        (project / "values.yaml").write_text(yaml.dump({"bench": values}, Dumper=yaml.CSafeDumper))
    (project / "confsync.yaml").write_text(yaml.dump(config, Dumper=yaml.CSafeDumper))


def _many_syncs() -> dict[str, Any]:
    return {
        f"s{n}": {
            "data": {f"k{key}": f"etcd:s{n}/k{key}" for key in range(KEYS)},
            "to": {"kubernetes_secret": {"namespace": namespace_of(n), "name": f"s{n}"}},
        }
        for n in range(SECRETS)
    }


def _one_sync() -> dict[str, Any]:
    data = {f"k{key}": {"template": f"{{{{ etcd(each.key ~ '/k{key}') }}}}"} for key in range(KEYS)}
    namespace = f"bench{{{{ each.key[1:] | int % {NAMESPACES} }}}}"
    return {
        "all": {
            "for_each": "etcd.dirs('')",
            "data": data,
            "to": {"kubernetes_secret": {"namespace": namespace, "name": "{{ each.key }}"}},
        }
    }


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("not in time")
        time.sleep(0.01)


def counted(requests: list[Noted]) -> str:
    """How many of each kind: "1000 patch, 10 list"."""
    kinds = Counter(f"{one.verb}{' (dry)' if one.dry else ''}" for one in requests)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))


# The server's side


class Control:
    """What a benchmark may ask of the server it started; each method is a command of `ServerProcess`."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._news = threading.Condition()
        self._at = threading.local()
        self._noted: list[Noted] = []
        self._written = 0

    def began(self) -> None:
        """A request has come."""
        self._at.began = time.monotonic()

    def note(self, request: Request) -> None:
        """It is about to be answered."""
        dry = "dryRun" in request.url
        one = Noted(*request[:5], self._at.began, time.monotonic(), dry)
        with self._news:
            self._noted.append(one)
            self._written += one.verb == "patch" and one.status == 201 and not dry
            self._news.notify_all()

    def forget(self) -> None:
        with self._news:
            self._noted = []

    def requests(self) -> list[Noted]:
        with self._news:
            return list(self._noted)

    def wait(self, verb: str, namespace: str, name: str, after: float, seconds: float) -> Noted | None:
        def is_wanted(one: Noted) -> bool:
            asked = (one.verb, one.namespace, one.name) == (verb, namespace, name)
            return asked and not one.dry and one.status in (200, 201) and one.ended > after

        with self._news:
            return self._news.wait_for(lambda: next(filter(is_wanted, self._noted), None), seconds)

    def count(self, wanted: int, seconds: float) -> bool:
        with self._news:
            return self._news.wait_for(lambda: self._written >= wanted, seconds)

    def edit(self, namespace: str, name: str, key: str, value: str) -> float:
        with self._server.core.store.changed:  # nobody sees it before it is timed
            self._server.edit("secrets", namespace, name, {"data": {key: value}})
            return time.monotonic()

    def delete(self, namespace: str, name: str) -> float:
        with self._server.core.store.changed:
            self._server.delete("secrets", namespace, name)
            return time.monotonic()

    def watches(self) -> int:
        return self._server.watches("secrets")


def serve(directory: Path, delay: float) -> None:
    """Answer the benchmark, line by line, until it closes our standard input."""
    from stand_ins.kubernetes import ApiServer, Fault

    with ApiServer() as server:
        control = Control(server)
        server.log.began, server.log.note = control.began, control.note
        server.kubeconfig(directory / "kubeconfig")
        for number in range(NAMESPACES):
            server.core.do("POST", "/api/v1/namespaces", {"metadata": {"name": f"bench{number}"}})
        if delay:
            server.faults.add(Fault(delay=delay, times=None))
        gc.collect()
        gc.freeze()
        gc.disable()  # it lives for a minute, and must not stop in the middle of what is timed
        print(json.dumps({"given": None}), flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            given = getattr(control, name)(*arguments)
            failed = repr(server.bugs) if server.bugs else None
            print(json.dumps({"given": given, "failed": failed}), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), float(sys.argv[2]))
