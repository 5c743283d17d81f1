"""The helper that other tests rely on."""

from __future__ import annotations

import pytest

from confsync.testing.etcd import EtcdCluster
from confsync.testing.waiting import eventually


def test_a_missing_etcd_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.delenv("CONFSYNC_TEST_ETCD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RuntimeError, match=r"install it .*set CONFSYNC_TEST_ETCD"):
        EtcdCluster()


def test_an_etcd_that_cannot_start_shows_its_log_and_leaves_nothing_behind():
    cluster = EtcdCluster(arguments=["--no-such-option"])

    with pytest.raises(RuntimeError, match="no-such-option"):
        cluster.start()
    assert not any(member.running for member in cluster.members)
    assert not cluster.directory.exists()


def test_three_members_have_one_leader():
    with EtcdCluster(3) as cluster:
        assert len(cluster.followers()) == 2
        assert eventually(lambda: cluster.leader() not in cluster.followers())  # it may be another by now
