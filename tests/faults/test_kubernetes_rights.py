"""Rights and tokens that are missing, granted, taken away, revoked and replaced, under one running daemon."""

from __future__ import annotations

from stand_ins.clustered import PASSWORD, data

from confsync.testing.waiting import eventually

READ = {"PASSWORD": "values:db/password"}
HELD = {"PASSWORD": PASSWORD}


def rule(verb, resource="secrets", group=""):
    return f'{{apiGroups: ["{group}"], resources: [{resource}], verbs: [{verb}]}}'


def test_each_missing_right_is_named_with_its_rule_and_granted_later_it_is_mended(clustered, api_server):
    """From none to all that is needed, in the order in which they are."""
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    clustered.admin.secret(clustered.namespace, "theirs", {"a": "b"})
    login = clustered.login(api_server.user("robot"))
    syncs = {
        "app": data(READ, clustered.secret(restart=["deployment/shop"])),
        "theirs": data(READ, clustered.secret("theirs")),
    }
    clustered.configure(syncs, kubeconfig=login)

    def grant(verb, resource="secrets"):
        api_server.grant("robot", clustered.namespace, [verb], [resource])

    with clustered.daemon() as daemon:
        denied = clustered.wait_state("app", "failed", detail="robot may not list secrets").detail
        assert f"{rule('list')} to a Role in namespace '{clustered.namespace}'" in denied
        grant("list")
        clustered.wait_state("app", "failed", detail="may not patch")
        clustered.wait_state("theirs", "failed", detail=rule("get"))
        grant("patch")
        clustered.wait_state("app", "failed", detail=rule("create"))
        assert clustered.held() is None
        grant("create")
        clustered.wait_held(HELD)
        clustered.wait_state("app", "owed", detail=rule("patch", "deployments", "apps"))
        grant("patch", "deployments")
        clustered.wait_state("app", "ok")
        assert clustered.generation() == 2
        grant("get")
        clustered.wait_held({**HELD, "a": "b"}, "theirs")
        daemon.wait_log("only at each resync", error=rule("watch"))
        grant("watch")
        eventually(lambda: api_server.watches("secrets"), within=60)

        clustered.configure({"theirs": syncs["theirs"]}, kubeconfig=login)
        daemon.wait_log("not cleaned up", error=rule("delete"))
        assert "app  failed" in clustered.confsync("status").stdout
        grant("delete")
        clustered.wait_held(None)


def test_a_right_that_is_taken_away_changes_no_target(clustered, api_server):
    login = clustered.login(api_server.user("robot"))
    api_server.grant("robot", clustered.namespace, ["list", "watch", "create", "patch"], ["secrets"])
    clustered.configure({"app": data(READ, clustered.secret())}, kubeconfig=login)
    with clustered.daemon():
        clustered.wait_held(HELD)
        before = clustered.version()

        api_server.revoke("robot", clustered.namespace)
        api_server.end_watches()
        clustered.values({"db": {"password": "pw2"}})

        clustered.wait_state("app", "failed", detail="403: robot may not")
        assert clustered.version() == before
        api_server.grant("robot", clustered.namespace, ["list", "watch", "create", "patch"], ["secrets"])
        clustered.wait_held({"PASSWORD": "pw2"})


def test_a_token_that_was_revoked_is_told_and_its_file_is_read_again(clustered, api_server):
    tokens = [api_server.user("robot") for _ in range(3)]
    api_server.grant("robot", clustered.namespace, ["list", "watch", "create", "patch"], ["secrets"])
    login = clustered.login(tokens[0])
    clustered.configure({"app": data(READ, clustered.secret())}, kubeconfig=login)
    with clustered.daemon() as daemon:
        clustered.wait_held(HELD)
        eventually(lambda: api_server.watches("secrets"))
        clustered.replace(clustered.root / "login.token", tokens[1])
        api_server.revoke_token(tokens[0])
        clustered.values({"db": {"password": "pw2"}})
        clustered.wait_held({"PASSWORD": "pw2"})
        assert not daemon.lines("sync failed"), "replaced in time, nobody notices"
        before = clustered.version()

        api_server.revoke_token(tokens[1])
        clustered.values({"db": {"password": "pw3"}})

        clustered.wait_state("app", "failed", detail="401: the server does not accept our credentials")
        assert clustered.version() == before
        clustered.replace(clustered.root / "login.token", tokens[2])
        clustered.wait_held({"PASSWORD": "pw3"})
        clustered.wait_state("app", "ok")
        assert not any(token in daemon.log() for token in tokens)


def test_a_namespace_that_is_made_later_gets_what_it_should_have(clustered):
    namespace = clustered.admin.name("later")
    clustered.configure({"app": data(READ, clustered.secret(namespace=namespace))})
    with clustered.daemon():
        clustered.wait_state("app", "failed", detail=f"there is no namespace {namespace!r}")

        clustered.admin.create("namespaces", "", {"metadata": {"name": namespace}})

        clustered.wait_held(HELD, namespace=namespace)
        clustered.wait_state("app", "ok")


def test_a_namespace_that_is_deleted_is_told_and_made_again_it_is_filled(clustered):
    namespace = clustered.admin.namespace()
    clustered.configure({"app": data(READ, clustered.secret(namespace=namespace))})
    with clustered.daemon() as daemon:
        clustered.wait_held(HELD, namespace=namespace)

        clustered.admin.delete("namespaces", "", namespace)
        clustered.wait_state("app", "failed", detail=namespace)
        eventually(lambda: clustered.admin.find("namespaces", "", namespace) is None)
        clustered.admin.create("namespaces", "", {"metadata": {"name": namespace}})

        clustered.wait_held(HELD, namespace=namespace)
        clustered.wait_state("app", "ok")
        assert not daemon.lines("a bug")
