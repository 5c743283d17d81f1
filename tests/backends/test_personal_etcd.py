"""A configuration made for pods, read by a person: the variables of etcdctl, and neither they nor a login elsewhere."""

from __future__ import annotations

import shutil
import socket
import subprocess

import pytest
from stand_ins.common.certificates import Authority
from stand_ins.person import person as person

from confsync.errors import ConfigError, Denied, Invalid, Unavailable
from confsync.testing.etcd import EtcdCluster, EtcdTls
from confsync.testing.ports import free_port

SHOP, ALICE = "machine-horse", "my:horse"
POD_PASSWORD = {"file": "/var/run/secrets/nowhere"}


@pytest.fixture(scope="module")
def guarded():
    """A node with auth: `shop` and `alice` may read /prod."""
    with EtcdCluster(arguments=["--auth-token=simple", "--bcrypt-cost=4"]) as cluster:
        cluster.enable_auth()
        cluster.add_user("shop", SHOP, "/prod/")
        cluster.add_user("alice", ALICE, "/prod/")
        cluster.put("/prod/host", "db1")
        yield cluster


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A node behind TLS that wants a client certificate, and the files for it."""
    authority = Authority(tmp_path_factory.mktemp("pki"), "ca")
    files = EtcdTls(
        authority.cert, *authority.issue("server", "localhost", "127.0.0.1"), *authority.issue("client")
    )
    with EtcdCluster(tls=files) as cluster:
        cluster.put("/prod/host", "db-tls")
        yield cluster


@pytest.fixture
def nowhere():
    """An endpoint at which nobody answers."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def stranger():
    """An endpoint that must not be called: whoever accepts on it finds whether it was."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def is_called(server):
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def url(server):
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def source(*endpoints, **options):
    return {"backend": "etcd", "endpoints": list(endpoints), "timeout": "30s", **options}


def host(person, **sources):
    return person.read(sources, "etcd", "host", {"etcd": "/prod"})


@pytest.mark.parametrize(
    "variables",
    [
        {"ETCDCTL_USER": f"alice:{ALICE}"},
        {"ETCDCTL_USER": "alice", "ETCDCTL_PASSWORD": ALICE},
    ],
)
def test_ones_user_takes_the_place_of_a_machines(person, guarded, variables):
    for name, value in variables.items():
        person.variable(name, value)

    found = host(person, etcd=source(*guarded.endpoints, user="shop", password=POD_PASSWORD))

    assert found == "db1"
    (told,) = [record for record in person.log.records if record.message == "personal credentials"]
    assert told.taken == f"{', '.join('$' + name for name in variables)}, for {guarded.endpoints[0]}"
    assert ALICE not in person.log.text


@pytest.mark.parametrize(
    ("variables", "works"),
    [
        ({"ETCDCTL_USER": f"alice:{ALICE}"}, True),
        ({"ETCDCTL_USER": "alice", "ETCDCTL_PASSWORD": ALICE}, True),
        ({"ETCDCTL_USER": f"alice:{ALICE}", "ETCDCTL_PASSWORD": ALICE}, False),
        ({"ETCDCTL_PASSWORD": ALICE}, False),
        ({"ETCDCTL_USER": "alice:wrong"}, False),
    ],
)
def test_the_variables_mean_what_they_mean_to_etcdctl(person, guarded, variables, works):
    if shutil.which("etcdctl") is None:
        pytest.skip("there is no etcdctl here")
    for name, value in {**variables, "ETCDCTL_ENDPOINTS": guarded.endpoints[0]}.items():
        person.variable(name, value)
    person.variable("ETCDCTL_API", "3")
    ended = subprocess.run(
        ["etcdctl", "get", "--prefix", "/prod/"], capture_output=True, text=True, timeout=120, check=False
    )

    try:
        found = host(person, etcd=source("http://etcd.invalid:2379"))
    except Denied:
        found = None

    assert (ended.returncode == 0) is works
    assert (found == "db1") is works


def test_a_user_without_a_password_is_refused_with_what_to_write(person, guarded):
    person.variable("ETCDCTL_USER", "alice")

    with pytest.raises(ConfigError, match=r"\$ETCDCTL_USER has no password \(set ETCDCTL_USER=NAME:PASSWORD"):
        host(person, etcd=source(*guarded.endpoints))


def test_ones_endpoints_take_the_place_of_those_only_a_pod_knows(person, guarded, stranger):
    person.variable("ETCDCTL_ENDPOINTS", guarded.endpoints[0].removeprefix("http://"))
    person.variable("ETCDCTL_USER", f"alice:{ALICE}")
    pod = source(
        url(stranger).replace("http", "https"), user="shop", password="text", tls={"ca": "/nowhere/ca.crt"}
    )

    assert host(person, etcd=pod) == "db1"
    assert not is_called(stranger)


def test_a_machines_login_is_not_sent_to_ones_endpoints(person, guarded):
    person.variable("ETCDCTL_ENDPOINTS", guarded.endpoints[0])

    with pytest.raises(
        Denied, match=r"\(\$ETCDCTL_ENDPOINTS\).*wants a login \(set ETCDCTL_USER=NAME:PASSWORD\)"
    ):
        host(person, etcd=source("http://etcd.invalid:2379", user="shop", password=SHOP))


def test_ones_certificates_take_the_place_of_a_pods(person, secured, monkeypatch):
    monkeypatch.chdir(secured.tls.ca.parent)
    person.variable("ETCDCTL_CACERT", secured.tls.ca.name)
    person.variable("ETCDCTL_CERT", str(secured.tls.client_cert))
    person.variable("ETCDCTL_KEY", str(secured.tls.client_key))
    pod = {"ca": "/nowhere/ca.crt", "cert": "/nowhere/tls.crt", "key": "/nowhere/tls.key"}

    assert host(person, etcd=source(*secured.endpoints, tls=pod)) == "db-tls"


def test_an_endpoint_without_a_scheme_is_https_where_there_are_certificates(person, secured):
    person.variable("ETCDCTL_ENDPOINTS", secured.endpoints[0].removeprefix("https://"))
    person.variable("ETCDCTL_CACERT", str(secured.tls.ca))
    person.variable("ETCDCTL_CERT", str(secured.tls.client_cert))
    person.variable("ETCDCTL_KEY", str(secured.tls.client_key))

    assert host(person, etcd=source("http://etcd.invalid:2379")) == "db-tls"


def test_certificates_are_left_aside_for_http_as_by_etcdctl(person, etcd):
    etcd.put("/prod/host", "plain")
    person.variable("ETCDCTL_CACERT", "/nowhere/ca.crt")

    assert host(person, etcd=source(*etcd.endpoints)) == "plain"


def test_a_certificate_without_its_key_is_refused_by_the_variables_names(person, secured):
    person.variable("ETCDCTL_CERT", str(secured.tls.client_cert))

    with pytest.raises(ConfigError, match=r"^\$ETCDCTL_CERT: cert and key belong together"):
        host(person, etcd=source(*secured.endpoints))


def test_a_server_is_verified_whatever_the_variable_says(person, secured):
    person.variable("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true")

    with pytest.raises(Invalid) as caught:
        host(person, etcd=source(*secured.endpoints))

    assert "set ETCDCTL_CACERT to the CA that signed it" in str(caught.value)
    assert "ETCDCTL_INSECURE_SKIP_TLS_VERIFY is not obeyed: gRPC cannot skip verification" in str(
        caught.value
    )


def test_a_pods_files_that_are_not_here_are_told_with_the_variable(person, guarded, secured):
    with pytest.raises(Denied, match=r"/var/run/secrets/nowhere.*\(set ETCDCTL_USER=NAME:PASSWORD\)"):
        host(person, etcd=source(*guarded.endpoints, user="shop", password=POD_PASSWORD))
    with pytest.raises(
        Invalid, match=r"tls\.ca: /nowhere/ca\.crt.*\(set ETCDCTL_CACERT to a file of this machine\)"
    ):
        host(person, etcd=source(*secured.endpoints, tls={"ca": "/nowhere/ca.crt"}))


def test_an_endpoint_that_only_a_pod_reaches_is_told_with_the_variable(person, nowhere):
    with pytest.raises(Unavailable, match="set ETCDCTL_ENDPOINTS to its address from this machine"):
        host(person, etcd=source(nowhere))


def test_a_wrong_password_is_told_by_its_variable_and_not_shown(person, guarded):
    person.variable("ETCDCTL_USER", "alice:wrong-one")

    with pytest.raises(Denied) as caught:
        host(person, etcd=source(*guarded.endpoints))

    assert f"etcd at {guarded.endpoints[0]} ($ETCDCTL_USER)" in str(caught.value)
    assert "check ETCDCTL_USER" in str(caught.value)
    assert "wrong-one" not in str(caught.value)


def test_nothing_set_the_configured_login_works_on(person, guarded):
    assert host(person, etcd=source(*guarded.endpoints, user="shop", password=SHOP)) == "db1"


def test_of_two_clusters_only_the_one_that_is_meant_is_logged_in_to(person, guarded, stranger):
    person.variable("ETCDCTL_USER", f"alice:{ALICE}")
    person.variable("ETCDCTL_ENDPOINTS", guarded.endpoints[0] + "/")
    sources = {"etcd": source(*guarded.endpoints), "theirs": source(url(stranger))}

    assert person.read(sources, "etcd", "host", {"etcd": "/prod"}) == "db1"
    assert not is_called(stranger)


@pytest.mark.parametrize("said", ["", "http://127.0.0.1:1"])
def test_of_two_clusters_none_is_logged_in_to_where_nobody_says_which(person, guarded, etcd, said):
    person.variable("ETCDCTL_USER", f"alice:{ALICE}")
    if said:
        person.variable("ETCDCTL_ENDPOINTS", said)
    sources = {"etcd": source(*guarded.endpoints), "theirs": source(*etcd.endpoints)}

    with pytest.raises(Denied) as caught:
        person.read(sources, "etcd", "host", {"etcd": "/prod"})

    assert f"in several etcd clusters: set ETCDCTL_ENDPOINTS={guarded.endpoints[0]}" in str(caught.value)


def test_two_sources_of_one_cluster_both_move(person, guarded):
    person.variable("ETCDCTL_USER", f"alice:{ALICE}")
    person.variable("ETCDCTL_ENDPOINTS", guarded.endpoints[0])
    both = {"etcd": source("http://a.invalid:1", "http://b.invalid:1"), "same": source("http://b.invalid:1")}

    assert person.read(both, "etcd", "host", {"etcd": "/prod"}) == "db1"


def test_an_endpoint_that_is_no_text_is_refused_by_the_variables_name(person):
    person.variable("ETCDCTL_ENDPOINTS", "http://etcd\udcff:2379")
    with pytest.raises(ConfigError, match=r"^\$ETCDCTL_ENDPOINTS: .* a character no address has"):
        host(person, etcd=source("http://etcd.invalid:2379"))


@pytest.mark.parametrize("sign", ["", "#", "/", "?", ":", "@", "%"])
def test_wrong_endpoints_are_refused_by_the_variables_name(person, sign):
    person.variable("ETCDCTL_ENDPOINTS", f"http://me:hunter2{sign}x@etcd:2379")

    with pytest.raises(
        ConfigError, match=r"^\$ETCDCTL_ENDPOINTS: an endpoint must not hold credentials"
    ) as caught:
        host(person, etcd=source("http://etcd.invalid:2379"))

    assert "hunter2" not in str(caught.value)
