"""Certificates for the TLS tests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from stand_ins.common.certificates import Authority

from confsync.testing.etcd import EtcdCluster, EtcdTls, wait_until
from confsync_backends.etcd import EtcdBackend, EtcdOptions


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"), "ca")


@pytest.fixture(scope="session")
def tls_files(authority) -> EtcdTls:
    server = authority.issue("server", "etcd.test", "localhost", "127.0.0.1")
    client = authority.issue("client")
    return EtcdTls(authority.cert, *server, *client)


@pytest.fixture(scope="session")
def shared_etcd():
    """One node for every test that leaves it as healthy as it was."""
    with EtcdCluster(arguments=["--max-request-bytes=16777216"]) as cluster:
        yield cluster


@pytest.fixture
def etcd(shared_etcd):
    """An empty single node."""
    shared_etcd.clear()
    return shared_etcd


@pytest.fixture
def connect(tmp_path):
    """connect(cluster, **options): a backend that is closed after the test, and leaves no thread behind."""
    before = set(threading.enumerate())
    backends = []

    def connect(cluster=None, **options):
        if cluster is not None:
            options = {"endpoints": cluster.endpoints, **options}
        options = {"timeout": "30s", **options}  # a busy machine is not a server that does not answer
        backend = EtcdBackend.open(EtcdOptions(**options), tmp_path)
        backends.append(backend)
        return backend

    yield connect
    for backend in backends:
        backend.close()
    wait_until(lambda: set(threading.enumerate()) <= before, "no thread is left")


@pytest.fixture
def within():
    """within(seconds, call, *arguments): what the call returns or raises; TimeoutError if it takes longer."""
    with ThreadPoolExecutor() as pool:
        yield lambda seconds, call, *arguments: pool.submit(call, *arguments).result(seconds)


@dataclass(frozen=True)
class Belief:
    """What a follower takes to be so; one object, so that who has seen a part of it may look at the rest."""

    trees: dict
    revision: int
    deltas: int


class Follower:
    """Reads, watches, applies every delta, in a thread of its own; `trees` is what it believes."""

    def __init__(self, backend, prefixes, check=None):
        reading = backend.read(prefixes)
        trees = {asked: dict(tree) for asked, tree in reading.trees.items()}
        self._belief = Belief(trees, reading.revision, 0)
        self.error = None
        self._check = check
        self.watch = backend.watch(prefixes, reading)
        self._thread = threading.Thread(target=self._run, name="follower")
        self._thread.start()

    @property
    def trees(self):
        return self._belief.trees

    @property
    def revision(self):
        return self._belief.revision

    @property
    def deltas(self):
        return self._belief.deltas

    def values(self, asked):
        return {path: entry.value for path, entry in self.trees[asked].items()}

    def stop(self):
        self.watch.close()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self):
        try:
            for delta in self.watch:
                self._apply(delta)
                if self._check is not None:
                    self._check(self)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def _apply(self, delta):
        assert delta.revision > self.revision
        assert delta.puts or delta.deletes
        trees = {asked: dict(tree) for asked, tree in self.trees.items()}
        for asked, paths in delta.deletes.items():
            for path in paths:
                trees[asked].pop(path, None)
        for asked, entries in delta.puts.items():
            assert all(self.revision < entry.revision <= delta.revision for entry in entries.values())
            trees[asked].update(entries)
        self._belief = Belief(trees, delta.revision, self.deltas + 1)


@pytest.fixture
def follow(connect):
    """follow(backend, prefixes): a Follower that is stopped after the test."""
    followers = []

    def follow(backend, prefixes, check=None):
        followers.append(Follower(backend, prefixes, check))
        return followers[-1]

    yield follow
    for follower in followers:
        follower.stop()


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other-pki"), "other-ca")
