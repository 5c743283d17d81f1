"""What a user writes of elections, what it is taken for where nothing is written, and what is said of a wrong one."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from confsync.clock import SystemClock
from confsync.config.election import Election as Options
from confsync.config.loading import load_config
from confsync.daemon import pod
from confsync.daemon.election import Election, open_election
from confsync.errors import ConfigError

Open = Callable[..., Election]


@pytest.fixture
def open_with(tmp_path: Path) -> Open:
    """The election of a configuration, not started."""

    def open_with(election: str, clusters: str = "{}") -> Election:
        file = tmp_path / "confsync.yaml"
        file.write_text(f"election: {election}\nclusters: {clusters}\n")
        loaded = load_config(file)
        assert loaded.config.election is not None
        return open_election(loaded.config.election, loaded, SystemClock(), lambda: None, lambda: None)

    return open_with


def test_the_defaults_are_those_of_kubernetes_own_controllers():
    options = Options()
    assert (options.duration, options.renew, options.retry, options.lease) == (15, 10, 2, "confsync")


@pytest.mark.parametrize(
    ("times", "complaint"),
    [
        ({"duration": "10s"}, "renew (10s) has to be shorter than duration (10s)"),
        ({"renew": "15s"}, "renew (15s) has to be shorter than duration (15s)"),
        ({"retry": "9s"}, "retry (9s) times 1.2 has to be shorter than renew (10s)"),
        ({"duration": "15500ms"}, "a Lease has whole seconds"),
        ({"duration": "500ms", "renew": "400ms", "retry": "100ms"}, "a Lease has whole seconds"),
        ({"retry": 0}, "greater than 0"),
    ],
)
def test_times_in_the_wrong_order_are_refused(times, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Options.model_validate(times)


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "-a", "a" * 254, "..", "a b"])
def test_a_lease_cannot_be_called_what_no_lease_can(name):
    with pytest.raises(ValueError, match="lease"):
        Options(lease=name)


@pytest.mark.parametrize("namespace", ["", "a.b", "a" * 64, "a/b"])
def test_a_namespace_that_can_be_none_is_refused(namespace):
    with pytest.raises(ValueError, match="namespace"):
        Options(namespace=namespace)


def test_the_namespace_is_the_one_written_else_the_pods(monkeypatch, tmp_path):
    monkeypatch.setenv("POD_NAMESPACE", "from-env")
    assert pod.namespace() == "from-env"

    monkeypatch.delenv("POD_NAMESPACE")
    mounted = tmp_path / "namespace"
    mounted.write_text("from-kubelet\n")
    assert pod.namespace(mounted) == "from-kubelet"


def test_where_no_namespace_is_known_it_says_what_to_write(monkeypatch, tmp_path):
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    with pytest.raises(ConfigError, match=re.escape("election: {namespace: NAME}")):
        pod.namespace(tmp_path / "nothing")


def test_an_identity_begins_with_a_name_people_know_and_is_like_no_other(monkeypatch):
    monkeypatch.setenv("POD_NAME", "shop-7d9f-x2x4z")
    assert pod.identity().startswith("shop-7d9f-x2x4z_")
    assert pod.identity("mine").startswith("mine_")
    assert len({pod.identity("mine") for _ in range(100)}) == 100
    monkeypatch.delenv("POD_NAME")
    assert pod.identity().startswith(f"{socket.gethostname()}_")


def test_it_uses_the_only_cluster_or_the_one_named(open_with):
    one = open_with("{namespace: a}", "{prod: {}}")
    named = open_with("{namespace: a, cluster: b}", "{a: {}, b: {}}")
    none = open_with("{namespace: a}")
    assert [election._client.name for election in (one, named, none)] == ["prod", "b", "default"]


def test_a_cluster_that_is_not_there_or_not_said_is_an_error_that_names_the_line(open_with, tmp_path):
    wrong = {
        "{namespace: a, cluster: prd}": "1:35: there is no cluster 'prd'",
        "{namespace: a}": "1:1: say which",
    }
    for election, said in wrong.items():
        with pytest.raises(ConfigError) as raised:
            open_with(election, "{prod: {}, dev: {}}")
        assert str(raised.value).startswith(f"{tmp_path}/confsync.yaml:{said}")
        assert "prod" in str(raised.value)


def test_a_renewal_gives_up_in_time_for_another(open_with):
    assert open_with("{namespace: a}", "{prod: {timeout: 30s}}")._client._timeout == 5
    assert open_with("{namespace: a}", "{prod: {timeout: 1s}}")._client._timeout == 1


def test_opening_it_neither_asks_anybody_nor_loads_the_client_library(tmp_path):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from confsync.clock import SystemClock\n"
        "from confsync.config.loading import load_config\n"
        "from confsync.daemon.election import open_election\n"
        "loaded = load_config(Path(sys.argv[1]))\n"
        "open_election(loaded.config.election, loaded, SystemClock(), print, print)\n"
        "assert 'kubernetes' not in sys.modules and 'urllib3' not in sys.modules\n"
    )
    file = tmp_path / "confsync.yaml"
    file.write_text("election: {namespace: a}\nclusters: {prod: {kubeconfig: nowhere}}\n")
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, timeout=120)
