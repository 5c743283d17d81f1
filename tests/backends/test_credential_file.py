"""What stands where a credential should, and is none: nobody waits for it, and nobody reads it to its end."""

from __future__ import annotations

import os
import socket

import pytest

from confsync.errors import Denied, Invalid
from confsync_backends.credential_file import read_bytes, read_line
from confsync_backends.etcd.connection import Connection
from confsync_backends.etcd.options import Credential as EtcdCredential
from confsync_backends.etcd.options import EtcdOptions, reveal
from confsync_backends.vault.auth.credentials import Credential
from confsync_backends.vault.options import VaultOptions
from confsync_backends.vault.transport import TlsFiles


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def listener(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def huge(path):
    with open(path, "wb") as file:
        file.truncate(1024**4)


KINDS = {pipe: "it is no regular file", device: "it is no regular file", listener: "", huge: "File too large"}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def odd(request, tmp_path, monkeypatch):
    """A path, and what is said of it."""
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    request.param(tmp_path / "odd" if request.param is not listener else type(tmp_path)("odd"))
    return tmp_path / "odd", KINDS[request.param]


def test_it_is_refused_as_a_login_of_vault(odd):
    with pytest.raises(Denied, match=f"no token: {odd[0]} cannot be read: {odd[1]}"):
        Credential("token", odd[0]).read_token()


def test_it_is_refused_as_a_password_of_etcd(odd):
    with pytest.raises(Denied, match=f"no password: {odd[0]} cannot be read: {odd[1]}"):
        reveal(EtcdCredential(file="odd"), odd[0].parent)


def test_it_is_refused_as_a_certificate(odd):
    path, why = odd
    vault = VaultOptions(address="https://vault.invalid:1", ca_cert="odd")
    with pytest.raises(Invalid, match=f"ca_cert: {path}: {why}"):
        TlsFiles(vault, path.parent).context()
    etcd = EtcdOptions(endpoints=["https://etcd.invalid:1"], tls={"ca": "odd"})
    with pytest.raises(Invalid, match=f"tls.ca: {path}: {why}"):
        Connection(etcd, path.parent).dial(lambda *_: None)


def test_a_line_ends_where_it_ends_and_a_link_is_followed(tmp_path):
    for written, read in ((b"a\n", "a"), (b"a\r\n", "a"), (b"a", "a"), (b"a\n\n", "a\n"), (b" a ", " a ")):
        (tmp_path / "file").write_bytes(written)
        assert read_line(tmp_path / "file") == read
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link") == b" a "
