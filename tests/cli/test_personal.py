"""The commands of a person, on a configuration made for pods: whose credentials they use, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from stand_ins.vault.fixtures import vault as vault
from stand_ins.vault.fixtures import vault_server as vault_server

from confsync.testing.etcd import EtcdCluster
from confsync.testing.waiting import eventually

PASSWORD = "correct horse"
ALICE = "my:horse"


@pytest.fixture(scope="module")
def guarded():
    """An etcd with auth, which `alice` may read."""
    with EtcdCluster(arguments=["--auth-token=simple", "--bcrypt-cost=4"]) as cluster:
        cluster.enable_auth()
        cluster.add_user("alice", ALICE, "/prod/", "/dev/")
        cluster.transact({"/prod/host": "db1", "/dev/host": "localhost"})
        yield cluster


@pytest.fixture
def laptop(tmp_path, guarded, vault):
    """laptop(*arguments, **variables): the command on a pod's configuration, in a home of its own."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    mount = vault.admin.mount_kv()
    for environment in ("prod", "dev"):
        vault.admin.put(mount, f"{environment}/db", {"password": PASSWORD})
    config = {
        "sources": {
            "etcd": {
                "backend": "etcd",
                "endpoints": ["https://etcd.infra.svc.invalid:2379"],
                "timeout": "30s",
                "user": "shop",
                "password": {"file": "/var/run/secrets/nowhere"},
                "tls": {"ca": "/var/run/secrets/nowhere/ca.crt"},
            },
            "vault": {
                "backend": "vault",
                "address": "https://vault.vault.svc.invalid:8200",
                "ca_cert": "/var/run/secrets/nowhere/ca.crt",
                "auth": {"method": "kubernetes", "role": "shop"},
            },
        },
        "environments": {name: {"etcd": f"/{name}", "vault": f"{mount}/{name}"} for name in ("prod", "dev")},
    }
    (project / "confsync.yaml").write_text(yaml.safe_dump(config))
    (home / ".vault-token").write_text(vault.token)
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("VAULT_", "ETCDCTL_", "CONFSYNC_", "XDG_"))
    }
    own = {
        "VAULT_ADDR": vault.address,
        "ETCDCTL_ENDPOINTS": guarded.endpoints[0],
        "ETCDCTL_USER": f"alice:{ALICE}",
    }

    def call(*arguments, **variables):
        environ = {
            name: value for name, value in {**clean, "HOME": str(home), **own, **variables}.items() if value
        }
        return subprocess.run(
            [sys.executable, "-m", "confsync", *arguments],
            cwd=project, env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    call.mount = mount
    return call


def test_env_reads_as_whoever_calls(laptop):
    ended = laptop("env", "prod", "--format", "json")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == {"HOST": "db1", "DB_PASSWORD": PASSWORD}


def test_what_was_used_is_told_to_who_wants_to_know_and_never_what_it_holds(laptop, vault, guarded):
    ended = laptop("env", "prod", "--log-level", "info")

    assert f"token of ~/.vault-token, for {vault.address}" in ended.stderr
    assert f"$ETCDCTL_ENDPOINTS, $ETCDCTL_USER, for {guarded.endpoints[0]}" in ended.stderr
    assert vault.token not in ended.stderr
    assert ALICE not in ended.stderr


def test_exec_reads_as_whoever_calls(laptop):
    ended = laptop("exec", "prod", "--", "sh", "-c", 'echo "$HOST $DB_PASSWORD"')

    assert (ended.returncode, ended.stdout) == (0, f"db1 {PASSWORD}\n")


def test_diff_reads_as_whoever_calls(laptop):
    ended = laptop("diff", "prod", "dev", "--output", "json")

    assert ended.returncode == 2
    assert "localhost" in ended.stdout
    assert PASSWORD not in ended.stdout


def test_ones_token_outlives_the_command(laptop, vault):
    token = vault.admin.token([vault.admin.policy("all", 'path "*" { capabilities = ["read", "list"] }')])

    assert laptop("exec", "prod", "--", "true", VAULT_TOKEN=token).returncode == 0

    status, _ = vault.admin.call("GET", "auth/token/lookup-self", headers={"X-Vault-Token": token})
    assert status == 200


def test_without_a_token_the_command_says_how_to_log_in(laptop, tmp_path, vault):
    (tmp_path / "home" / ".vault-token").unlink()

    ended = laptop("env", "prod")

    assert ended.returncode == 1
    assert "log in as yourself: vault login -address=" in ended.stderr
    assert "set VAULT_TOKEN" in ended.stderr
    assert ended.stdout == ""


def test_without_a_user_the_command_says_what_to_set(laptop):
    ended = laptop("env", "prod", ETCDCTL_USER="")

    assert ended.returncode == 1
    assert "it wants a login (set ETCDCTL_USER=NAME:PASSWORD" in ended.stderr


def test_a_user_without_a_password_is_an_invalid_call(laptop):
    ended = laptop("env", "prod", ETCDCTL_USER="alice")

    assert ended.returncode == 3
    assert "$ETCDCTL_USER has no password" in ended.stderr


def test_secrets_are_read_at_the_same_time(laptop, vault, vault_server):
    for number in range(8):
        vault.admin.put(laptop.mount, f"prod/secret{number}", {"value": str(number)})
    vault_server.log.forget()
    vault_server.faults.late(3600, path=f"{laptop.mount}/data/", times=None)

    with ThreadPoolExecutor(1) as thread:
        called = thread.submit(laptop, "env", "prod", "vault:", "--format", "json")
        try:
            eventually(lambda: vault_server.log.most_at_once >= 4)
        finally:
            vault_server.faults.clear()
        ended = called.result()

    assert len(json.loads(ended.stdout)) == 9
    assert vault_server.log.most_at_once == 4
    assert vault_server.count("GET", f"{laptop.mount}/data/") == 9


@pytest.mark.parametrize("said", [{"CONFSYNC_CREDENTIALS": "configured"}, "--credentials=configured"])
def test_whoever_wants_those_configured_gets_them(laptop, vault_server, said):
    arguments, variables = ([said], {}) if isinstance(said, str) else ([], said)
    vault_server.log.forget()

    ended = laptop("env", "prod", "vault:", *arguments, **variables)

    assert ended.returncode == 1
    assert "no service account token: /var/run/secrets/" in ended.stderr
    assert "log in as yourself" not in ended.stderr
    assert not vault_server.requests
