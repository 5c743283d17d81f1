"""Fixtures for tests that need a Kubernetes cluster; a conftest has them by importing them by name.

from stand_ins.kubernetes.fixtures import api_server, cluster
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .admin import KubeAdmin
from .server import ApiServer

KUBECONFIG = "CONFSYNC_TEST_KUBECONFIG"


@dataclass(frozen=True)
class Cluster:
    """A cluster a test may use: the stand-in, or the real one that CONFSYNC_TEST_KUBECONFIG names.

    Attributes:
        kubeconfig: the path of one whose current context may do everything.
        admin: sets things up for this test alone, and removes them after it.
        namespace: the test's own.
    """

    kubeconfig: Path
    admin: KubeAdmin
    namespace: str


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    """The stand-in, for tests of faults and of time; skipped when the tests run against a real cluster."""
    if os.environ.get(KUBECONFIG):
        pytest.skip(
            f"{KUBECONFIG} is set, and a real cluster can neither be made to fail nor its clock be moved"
        )
    with ApiServer() as server:
        yield server
    assert not server.bugs, f"the stand-in for the API server failed: {server.bugs!r}"


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The real cluster when there is one, else the stand-in; the same server as `api_server` gives."""
    named = os.environ.get(KUBECONFIG)
    if named:
        path = Path(named)
    else:
        server: ApiServer = request.getfixturevalue("api_server")
        path = server.kubeconfig(tmp_path_factory.mktemp("kube") / "config")
    admin = KubeAdmin(path)
    yield Cluster(path, admin, admin.namespace())
    admin.clean_up()
