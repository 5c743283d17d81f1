"""docs/kubernetes.md, followed word for word with a real etcd, a real kubectl, and a real cluster where there is one.

Only places differ from the page: ports, and the names of what others may have in the same cluster, which are as long as
the page's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.pages import a_shell, blocks_of, follow
from stand_ins.common.certificates import Authority
from stand_ins.kubernetes import ApiServer, KubeAdmin
from stand_ins.kubernetes.fixtures import KUBECONFIG, Cluster

from confsync.testing.etcd import free_port

PAGE = (Path(__file__).parents[2] / "docs/kubernetes.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The real cluster when there is one, else the stand-in with TLS, without which kubectl logs in to nobody."""
    named = os.environ.get(KUBECONFIG)
    if named:
        admin = KubeAdmin(Path(named))
        yield Cluster(Path(named), admin, admin.namespace())
        admin.clean_up()
        return
    directory = tmp_path_factory.mktemp("kube")
    authority = Authority(directory)
    with ApiServer(tls=authority.server()) as server:
        path = server.kubeconfig(directory / "config", ca=authority.cert)
        admin = KubeAdmin(path)
        yield Cluster(path, admin, admin.namespace())
    assert not server.bugs, f"the stand-in for the API server failed: {server.bugs!r}"


def placed(page: str, cluster: Cluster) -> str:
    """The page, put where nobody else is."""
    for port in ("12379", "12380"):
        page = page.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    own = cluster.admin.unique[:4]
    page = re.sub(r"\bshop-(prod|test)\b", rf"{own}-\1", page)
    return page.replace("storefront", f"{own}efront")


@pytest.mark.timeout(300)
def test_the_page_works_word_for_word(cluster: Cluster, tmp_path: Path) -> None:
    blocks = blocks_of(placed(PAGE, cluster))
    with a_shell(tmp_path, "etcdctl", "kubectl") as shell:
        assert shell.run(f"export KUBECONFIG={cluster.kubeconfig} HOME={tmp_path}") == ""
        follow(shell, blocks, tmp_path)
