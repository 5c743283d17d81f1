from __future__ import annotations

import os
import subprocess
import sys

import pytest

from confsync.errors import Denied, Invalid, Unavailable
from confsync.testing.etcd import EtcdCluster, wait_until


@pytest.fixture(scope="module")
def secure(tls_files):
    with EtcdCluster(tls=tls_files) as cluster:
        cluster.put("/prod/a", "1")
        yield cluster


@pytest.fixture
def files(tls_files):
    """Options that fit the server."""
    return {"ca": str(tls_files.ca), "cert": str(tls_files.client_cert), "key": str(tls_files.client_key)}


def test_the_right_certificates_read_and_watch(secure, connect, follow, files):
    backend = connect(secure, tls=files)
    assert set(backend.read(["/prod"]).trees["/prod"]) == {"a"}

    follower = follow(backend, ["/prod"])
    secure.put("/prod/a", "2")
    wait_until(lambda: follower.values("/prod") == {"a": b"2"}, "the change arrives")


def test_a_server_from_another_authority_is_not_trusted(secure, connect, files, other_authority):
    with pytest.raises(Invalid, match=r"certificate is not trusted .*set tls\.ca"):
        connect(secure, tls=files | {"ca": str(other_authority.cert)}).read(["/prod"])


def test_a_server_is_not_trusted_without_a_ca_of_ours(secure, connect):
    with pytest.raises(Invalid, match="not trusted"):
        connect(secure).read(["/prod"])


def test_a_missing_client_certificate_is_denied(secure, connect, files):
    with pytest.raises(Denied, match=r"set tls\.cert and tls\.key"):
        connect(secure, tls={"ca": files["ca"]}).read(["/prod"])


def test_a_client_certificate_from_another_authority_is_denied(secure, connect, files, other_authority):
    cert, key = other_authority.issue("stranger")

    with pytest.raises(Denied, match="refused our client certificate"):
        connect(secure, tls=files | {"cert": str(cert), "key": str(key)}).read(["/prod"])


def test_the_server_name_can_be_another_one_of_its_certificate(secure, connect, files):
    assert connect(secure, tls=files | {"server_name": "etcd.test"}).read(["/prod"]).trees["/prod"]


def test_a_name_that_is_not_in_the_certificate_is_refused(secure, connect, files):
    with pytest.raises(Invalid, match=r"for another name .*set tls\.server_name"):
        connect(secure, tls=files | {"server_name": "elsewhere.test"}).read(["/prod"])


def test_http_to_a_tls_port_says_what_to_write(secure, connect):
    with pytest.raises(Unavailable, match="write https://"):
        connect(endpoints=[secure.endpoints[0].replace("https", "http")]).read(["/prod"])


def test_https_to_a_plain_port_says_what_to_write(etcd, connect, files):
    with pytest.raises(Unavailable, match="write http://"):
        connect(endpoints=[etcd.endpoints[0].replace("http", "https")], tls=files).read(["/prod"])


def test_a_missing_certificate_file_is_named(secure, connect, files):
    with pytest.raises(Invalid, match=r"tls\.ca: .*absent\.pem: No such file"):
        connect(secure, tls=files | {"ca": "absent.pem"}).read(["/prod"])


def test_a_file_that_is_no_certificate_is_named(secure, connect, files, tmp_path):
    (tmp_path / "ca.pem").write_text("not a certificate")

    with pytest.raises(Invalid, match=r"tls\.ca: .*ca\.pem holds nothing in PEM format"):
        connect(secure, tls=files | {"ca": "ca.pem"}).read(["/prod"])


def test_a_certificate_put_right_is_used_by_the_next_call(
    secure, connect, files, other_authority, tmp_path, tls_files
):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(other_authority.cert.read_bytes())
    backend = connect(secure, tls=files | {"ca": "ca.pem"})
    with pytest.raises(Invalid):
        backend.read(["/prod"])

    ca.write_bytes(tls_files.ca.read_bytes())

    assert backend.read(["/prod"]).trees["/prod"]


def test_grpc_writes_nothing_to_stderr_and_leaves_no_variable_behind(secure):
    program = """
import os, pathlib, sys
from confsync.errors import Invalid
from confsync_backends.etcd import EtcdBackend, EtcdOptions
backend = EtcdBackend.open(EtcdOptions(endpoints=sys.argv[1], timeout="60s"), pathlib.Path("."))
try:
    backend.read(["/"])
except Invalid:
    print("refused")
backend.close()
assert "GRPC_VERBOSITY" not in os.environ
"""
    environment = {key: value for key, value in os.environ.items() if key != "GRPC_VERBOSITY"}
    command = [sys.executable, "-c", program, secure.endpoints[0]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)

    assert (done.stdout, done.stderr) == ("refused\n", "")
