"""How a cluster is found and logged in to: kubeconfigs good and bad, plugins, pods, tokens that are replaced."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins.common.certificates import Authority
from stand_ins.kubernetes import ApiServer
from stand_ins.pauses import Pauses

from confsync.config.kubernetes import Cluster as Options
from confsync.errors import ConfigError
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.credentials import Credentials
from confsync.sinks.kubernetes.failures import ApiFailure, Forbidden, Unauthorized
from confsync.sinks.kubernetes.resources import SECRET
from confsync.testing.waiting import eventually

TOKEN = "tok-hunter2-hunter2"
EXEC = "client.authentication.k8s.io/v1"


def credentials(
    path: Path | None = None,
    base: Path = Path("/"),
    environ: Mapping[str, str] | None = None,
    pod: Path = Path("/no/such/pod"),
    clock: Pauses | None = None,
    **options: Any,
) -> Credentials:
    if path is not None:
        options["kubeconfig"] = str(path)
    given = dict(os.environ) if environ is None else environ
    return Credentials("prod", Options(**options), base, clock=clock, environ=given, service_account=pod)


def logged_in(connect: Callable[..., Client], path: Path) -> Client:
    """A client that has read its credentials already, and asked nobody yet."""
    found = credentials(path)
    found.configuration()
    return connect(path, credentials=found)


def write(path: Path, content: Any = None, **changes: Any) -> Path:
    """A kubeconfig with two contexts, changed where a test says so; gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "current-context": "prod",
        "contexts": [
            {"name": "prod", "context": {"cluster": "prod", "user": "jane"}},
            {"name": "staging", "context": {"cluster": "staging", "user": "jane"}},
        ],
        "clusters": [
            {"name": "prod", "cluster": {"server": "http://127.0.0.1:1"}},
            {"name": "staging", "cluster": {"server": "http://127.0.0.1:2"}},
        ],
        "users": [{"name": "jane", "user": {"token": TOKEN}}],
    }
    path.write_text(content if content is not None else yaml.safe_dump(whole | changes))
    return path


def with_user(path: Path, **user: Any) -> Path:
    return write(path, users=[{"name": "jane", "user": user}])


def refused(**where: Any) -> str:
    """What is said of credentials that cannot be loaded; never the token, and one line."""
    with pytest.raises(ConfigError) as error:
        credentials(**where).configuration()
    text = str(error.value)
    assert text.startswith("cluster 'prod': ")
    assert text.isprintable()
    chain: list[BaseException | None] = [error.value, error.value.__cause__]
    assert not any(TOKEN in str(one) or TOKEN in repr(one) for one in chain)
    return text


class TestKubeconfig:
    def test_the_current_context_counts(self, tmp_path: Path) -> None:
        found = credentials(write(tmp_path / "config"))

        assert found.configuration().host == "http://127.0.0.1:1"
        assert found.authorization() == f"Bearer {TOKEN}"
        assert found.origin == f"the context 'prod' of {tmp_path / 'config'}"

    def test_another_may_be_named(self, tmp_path: Path) -> None:
        assert credentials(write(tmp_path / "config"), context="staging").configuration().host.endswith(":2")

    def test_a_relative_path_starts_at_the_configuration(self, tmp_path: Path) -> None:
        write(tmp_path / "kube" / "config")

        assert credentials(Path("kube/config"), base=tmp_path).authorization()

    def test_a_tilde_is_a_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        write(tmp_path / ".kube" / "config")

        assert credentials(Path("~/.kube/config")).authorization()
        assert credentials(environ={}).authorization()

    def test_several_are_merged_as_kubectl_does(self, tmp_path: Path) -> None:
        first = write(tmp_path / "a", yaml.safe_dump({"current-context": "staging", "kind": "Config"}))
        second = write(tmp_path / "b")
        environ = {"KUBECONFIG": f"{first}:{tmp_path / 'none'}:{second}"}

        assert credentials(environ=environ).configuration().host.endswith(":2")

    def test_a_token_file_beside_it(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("from-a-file\n")
        found = credentials(with_user(tmp_path / "config", tokenFile="token"))
        assert found.authorization() == "Bearer from-a-file"

        (tmp_path / "token").write_text("another\n")
        found.reload()
        assert found.authorization() == "Bearer another"

    def test_a_name_and_a_password(self, tmp_path: Path) -> None:
        found = credentials(with_user(tmp_path / "config", username="jane", password="secret"))

        assert found.authorization() == "Basic amFuZTpzZWNyZXQ="

    def test_nobody_at_all(self, tmp_path: Path) -> None:
        path = write(tmp_path / "config", contexts=[{"name": "prod", "context": {"cluster": "prod"}}])

        assert credentials(path).authorization() == ""

    def test_the_file_is_never_written(self, tmp_path: Path) -> None:
        path = write(tmp_path / "config")
        before = path.stat().st_mtime_ns, path.read_bytes()
        credentials(path).reload()

        assert (path.stat().st_mtime_ns, path.read_bytes()) == before

    def test_a_proxy_is_the_library_s_business(self, tmp_path: Path) -> None:
        clusters = [{"name": "prod", "cluster": {"server": "https://a", "proxy-url": "http://proxy:3128"}}]

        assert (
            credentials(write(tmp_path / "config", clusters=clusters)).configuration().proxy
            == "http://proxy:3128"
        )


class TestBrokenKubeconfig:
    def test_missing(self, tmp_path: Path) -> None:
        text = refused(path=tmp_path / "none")

        assert f"there is no kubeconfig {tmp_path / 'none'}" in text
        assert "in_cluster: true" in text

    def test_none_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))

        assert f"there is no kubeconfig {tmp_path / '.kube/config'}" in refused(environ={})

    def test_a_directory(self, tmp_path: Path) -> None:
        assert "cannot be read: is a directory" in refused(path=tmp_path)

    @pytest.mark.parametrize(
        "content", [f"a: [{TOKEN}", f"*{TOKEN}", f"\t{TOKEN}: x", f"a: b: {TOKEN}", "\x00", "\ud800"]
    )
    def test_no_yaml(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "config"
        path.write_bytes(content.encode("utf-8", "surrogatepass"))

        assert "is no YAML" in refused(path=path)

    def test_no_yaml_names_the_line(self, tmp_path: Path) -> None:
        assert f"{tmp_path / 'config'}:2:5" in refused(path=write(tmp_path / "config", "a: b\nc: d: e\n"))

    @pytest.mark.parametrize("content", ["", "[]", "5", TOKEN])
    def test_no_mapping(self, tmp_path: Path, content: str) -> None:
        assert "is no kubeconfig" in refused(path=write(tmp_path / "config", content))

    def test_a_context_that_is_not_there(self, tmp_path: Path) -> None:
        text = refused(path=write(tmp_path / "config"), context="stagin")

        assert f"{tmp_path / 'config'} has no context 'stagin'; did you mean 'staging'?" in text

    def test_no_current_context(self, tmp_path: Path) -> None:
        text = refused(path=write(tmp_path / "config", **{"current-context": ""}))

        assert "has no current-context (name one as `context`: prod, staging)" in text

    @pytest.mark.parametrize("kind", ["cluster", "user"])
    def test_a_context_that_names_what_is_not_there(self, tmp_path: Path, kind: str) -> None:
        context = {"cluster": "prod", "user": "jane"} | {kind: "jan"}
        path = write(tmp_path / "config", contexts=[{"name": "prod", "context": context}])

        assert f"the context 'prod' names the {kind} 'jan', which is not there" in refused(path=path)

    def test_a_context_without_a_cluster(self, tmp_path: Path) -> None:
        path = write(tmp_path / "config", contexts=[{"name": "prod", "context": {"user": "jane"}}])

        assert "the context 'prod' names no cluster" in refused(path=path)

    @pytest.mark.parametrize(
        "server",
        [
            None,
            "",
            "127.0.0.1:6443",
            "https://",
            "https://[::1",
            "unix:///run/x",
            "https://a:b",
            "https://a:99999",
        ],
    )
    def test_a_server_that_is_no_address(self, tmp_path: Path, server: str | None) -> None:
        path = write(tmp_path / "config", clusters=[{"name": "prod", "cluster": {"server": server}}])

        assert "the server of cluster 'prod' is no address that begins with https://" in refused(path=path)

    @pytest.mark.parametrize(
        "changes",
        [
            {"contexts": {}}, {"contexts": [5]}, {"contexts": [{"context": {}}]}, {"users": TOKEN},
            {"users": [TOKEN]}, {"users": [{"name": "jane", "user": TOKEN}]},
            {"clusters": [{"name": "prod", "cluster": [5]}]},
        ],
    )  # fmt: skip
    def test_entries_of_another_form(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        refused(path=write(tmp_path / "config", **changes))

    @pytest.mark.parametrize(
        "key", ["certificate-authority", "client-certificate", "client-key", "tokenFile"]
    )
    def test_a_file_that_is_not_there(self, tmp_path: Path, key: str) -> None:
        path = with_user(tmp_path / "config", **{key: "nowhere.pem"})
        if key == "certificate-authority":
            cluster = {"server": "https://a", key: "nowhere.pem"}
            path = write(tmp_path / "config", clusters=[{"name": "prod", "cluster": cluster}])

        assert f"the file its {key} names, {tmp_path / 'nowhere.pem'}, is not there" in refused(path=path)

    def test_data_that_is_no_base64(self, tmp_path: Path) -> None:
        cluster = {"server": "https://a", "certificate-authority-data": f"{TOKEN}!"}
        path = write(tmp_path / "config", clusters=[{"name": "prod", "cluster": cluster}])

        assert "the context 'prod' cannot be used" in refused(path=path)

    @pytest.mark.parametrize(
        "user",
        [
            {"token": f"{TOKEN}\nHost: evil"},
            {"token": f"{TOKEN}ä"},
            {"token": {"is": TOKEN}},
            {"token": [TOKEN]},
            {"username": "jane", "password": 12345},
            {"as": "admin", "token": TOKEN},
            {"auth-provider": {"name": "azure", "config": {"id-token": TOKEN}}},
            {"auth-provider": {"name": "oidc", "config": {"x": TOKEN}}},
            {"exec": {"command": "", "apiVersion": EXEC, "env": [{"name": "T", "value": TOKEN}]}},
            {"exec": TOKEN},
            {"exec": {"command": "x", "apiVersion": EXEC, "env": TOKEN}},
        ],
    )
    def test_a_user_that_cannot_be_is_refused_without_a_word_of_what_it_holds(
        self, tmp_path: Path, user: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        refused(path=with_user(tmp_path / "config", **user))

        assert TOKEN not in caplog.text

    def test_acting_as_somebody_else_is_not_left_out_silently(self, tmp_path: Path) -> None:
        assert "acts as somebody else (`as`)" in refused(
            path=with_user(tmp_path / "config", **{"as": "admin"})
        )

    def test_a_request_fails_with_the_same_line(self, connect: Callable[..., Client], tmp_path: Path) -> None:
        client = connect(tmp_path / "none")
        with pytest.raises(Unauthorized) as failure:
            client.request("GET", SECRET, "default")

        assert str(failure.value).count("cluster 'prod'") == 1
        assert f"there is no kubeconfig {tmp_path / 'none'}" in failure.value.why

    def test_it_is_used_as_soon_as_it_is_there(
        self, connect: Callable[..., Client], api_server: ApiServer, tmp_path: Path, pauses: Pauses
    ) -> None:
        client = connect(tmp_path / "config", pauses=pauses)
        with pytest.raises(Unauthorized):
            client.request("GET", SECRET, "default")
        api_server.kubeconfig(tmp_path / "config")
        pauses.time += 1.1

        assert client.request("GET", SECRET, "default").status == 200


class TestWarnings:
    def test_without_tls_to_another_machine(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = write(
            tmp_path / "config", clusters=[{"name": "prod", "cluster": {"server": "http://192.0.2.1"}}]
        )
        found = credentials(path)
        found.configuration()
        found.reload()

        assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
            (logging.WARNING, "this cluster is spoken to WITHOUT TLS: anybody between can read")
        ]

    def test_on_this_machine_it_is_nobody_s_business(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        credentials(write(tmp_path / "config")).configuration()

        assert caplog.text == ""

    def test_without_a_look_at_the_certificate(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cluster = {"server": "https://192.0.2.1", "insecure-skip-tls-verify": True}
        found = credentials(write(tmp_path / "config", clusters=[{"name": "prod", "cluster": cluster}]))
        found.configuration()
        found.reload()

        assert caplog.text.count("NOT VERIFIED") == 1


class TestPod:
    @pytest.fixture
    def server(self, api_server: ApiServer, authority: Authority) -> Iterator[ApiServer]:
        with ApiServer(tls=authority.server()) as server:
            server.grant("system:serviceaccount:default:confsync", None, ["list"], ["secrets"])
            yield server

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        """What the kubelet mounts."""
        return tmp_path / "serviceaccount"

    @pytest.fixture
    def environ(self, server: ApiServer, authority: Authority, directory: Path) -> dict[str, str]:
        token = server.account("default", "confsync")
        return server.pod(directory, token, "default", authority.cert)

    def test_it_logs_in(
        self, connect: Callable[..., Client], environ: dict[str, str], directory: Path
    ) -> None:
        found = credentials(in_cluster=True, environ=environ, pod=directory)
        client = connect(credentials=found, in_cluster=True)

        assert client.request("GET", SECRET, "default").status == 200
        assert found.origin == f"the service account in {directory}"

    def test_it_is_found_by_itself(self, environ: dict[str, str], directory: Path, server: ApiServer) -> None:
        assert credentials(environ=environ, pod=directory).configuration().host == server.address

    def test_a_kubeconfig_that_is_named_counts_more(
        self, environ: dict[str, str], directory: Path, tmp_path: Path
    ) -> None:
        found = credentials(write(tmp_path / "config"), environ=environ, pod=directory)

        assert found.configuration().host == "http://127.0.0.1:1"

    def test_never_where_that_was_said(
        self, environ: dict[str, str], directory: Path, tmp_path: Path
    ) -> None:
        environ["KUBECONFIG"] = str(write(tmp_path / "config"))
        found = credentials(environ=environ, pod=directory, in_cluster=False)

        assert found.configuration().host == "http://127.0.0.1:1"

    def test_a_token_that_the_kubelet_replaced_is_read_when_the_old_one_is_refused(
        self, connect: Callable[..., Client], environ: dict[str, str], directory: Path, server: ApiServer
    ) -> None:
        pauses = Pauses()
        client = connect(credentials=credentials(environ=environ, pod=directory), pauses=pauses)
        assert client.request("GET", SECRET, "default").status == 200
        server.advance(3601)
        pauses.time += 2
        (directory / "token").write_text(server.account("default", "confsync"))

        assert client.request("GET", SECRET, "default").status == 200

    def test_and_without_that_within_minutes(
        self, environ: dict[str, str], directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from kubernetes.config import incluster_config

        pauses = Pauses()
        found = credentials(environ=environ, pod=directory, clock=pauses)
        found.configuration()
        (directory / "token").write_text("a-newer-one\n")
        monkeypatch.setattr(incluster_config, "datetime", an_hour_later())
        pauses.time += 11

        assert found.authorization() == "bearer a-newer-one"

    def test_one_that_cannot_be_read_again_is_used_on(
        self,
        environ: dict[str, str],
        directory: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        from kubernetes.config import incluster_config

        pauses = Pauses()
        found = credentials(environ=environ, pod=directory, clock=pauses)
        before = found.authorization()
        (directory / "token").write_text("")
        monkeypatch.setattr(incluster_config, "datetime", an_hour_later())
        pauses.time += 11

        assert found.authorization() == before
        assert "could not be renewed" in caplog.text

    @pytest.mark.parametrize("name", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
    def test_outside_a_cluster(self, environ: dict[str, str], directory: Path, name: str) -> None:
        text = refused(environ=environ | {name: ""}, pod=directory, in_cluster=True)

        assert f"`in_cluster` logs in as a pod, but {name} is not set" in text

    @pytest.mark.parametrize("name", ["token", "ca.crt"])
    def test_a_file_that_is_not_mounted(self, environ: dict[str, str], directory: Path, name: str) -> None:
        (directory / name).unlink()
        text = refused(environ=environ, pod=directory, in_cluster=True)

        assert f"{directory / name} cannot be read: no such file or directory" in text
        assert "automountServiceAccountToken" in text

    @pytest.mark.parametrize("name", ["token", "ca.crt"])
    def test_an_empty_one(self, environ: dict[str, str], directory: Path, name: str) -> None:
        (directory / name).write_text("\n")

        assert f"{directory / name} is empty" in refused(environ=environ, pod=directory, in_cluster=True)


def an_hour_later() -> Any:
    """The module datetime, an hour ahead."""
    import datetime as dt
    import types

    class Later(dt.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> dt.datetime:
            return dt.datetime.now(tz) + dt.timedelta(hours=1)

    return types.SimpleNamespace(datetime=Later, timedelta=dt.timedelta)


class TestPlugins:
    """Programs that give credentials; real ones, in Python."""

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Callable[..., Path]:
        """Writes a kubeconfig with a plugin that runs some code; gives its path."""

        def plugin(code: str, server: str = "http://127.0.0.1:1", **more: Any) -> Path:
            (tmp_path / "plugin.py").write_text(code)
            entry = {"apiVersion": EXEC, "command": sys.executable, "args": ["plugin.py"], **more}
            return write(
                tmp_path / "config",
                clusters=[{"name": "prod", "cluster": {"server": server}}],
                users=[{"name": "jane", "user": {"exec": entry}}],
            )

        return plugin

    def test_its_token_is_used(self, plugin: Callable[..., Path]) -> None:
        assert credentials(plugin(saying(token=TOKEN))).authorization() == f"Bearer {TOKEN}"

    def test_a_client_asks_it_again_when_the_token_is_refused(
        self,
        plugin: Callable[..., Path],
        api_server: ApiServer,
        connect: Callable[..., Client],
        tmp_path: Path,
    ) -> None:
        tokens = tmp_path / "token"
        tokens.write_text(api_server.user("jane"))
        api_server.grant("jane", None, ["list"], ["secrets"])
        pauses = Pauses()
        code = f"import json; token = open({str(tokens)!r}).read()\n" + SAY.format(status='{"token": token}')
        client = connect(plugin(code, server=api_server.address), pauses=pauses)
        assert client.request("GET", SECRET, "default").status == 200

        pauses.time += 2
        api_server.revoke_token(tokens.read_text())
        tokens.write_text(api_server.user("jane"))
        assert client.request("GET", SECRET, "default").status == 200

    def test_its_certificate_is_used(
        self,
        plugin: Callable[..., Path],
        api_server: ApiServer,
        authority: Authority,
        connect: Callable[..., Client],
    ) -> None:
        with ApiServer(tls=authority.server(client_ca=authority.cert)) as server:
            jane = authority.issue("jane")
            pair = {"clientCertificateData": jane.cert.read_text(), "clientKeyData": jane.key.read_text()}
            path = plugin(saying(**pair), server=server.address)
            content = yaml.safe_load(path.read_text())
            content["clusters"][0]["cluster"]["certificate-authority"] = str(authority.cert)
            path.write_text(yaml.safe_dump(content))

            with pytest.raises(Forbidden, match="jane may not list secrets"):
                connect(path).request("GET", SECRET, "default")

    def test_it_is_told_of_its_environment_and_of_the_cluster(self, plugin: Callable[..., Path]) -> None:
        code = (
            "import json, os; info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
            "token = '-'.join([os.environ['TEAM'], info['kind'], info['spec']['cluster']['server'][-1]])\n"
        )
        more = {"env": [{"name": "TEAM", "value": "shop"}], "provideClusterInfo": True}
        path = plugin(code + SAY.format(status='{"token": token}'), **more)

        assert credentials(path).authorization() == "Bearer shop-ExecCredential-1"

    def test_a_command_beside_the_kubeconfig(self, tmp_path: Path) -> None:
        script = tmp_path / "bin" / "login"
        script.parent.mkdir()
        script.write_text(f"#!{sys.executable}\n{saying(token='beside')}")
        script.chmod(0o700)
        entry = {"apiVersion": EXEC, "command": "./bin/login"}

        assert credentials(with_user(tmp_path / "config", exec=entry)).authorization() == "Bearer beside"

    def test_one_whose_token_ends_soon_is_asked_again(
        self, plugin: Callable[..., Path], tmp_path: Path
    ) -> None:
        count = tmp_path / "count"
        code = f"""
import json
open({str(count)!r}, 'a').write('x'); n = len(open({str(count)!r}).read())
"""
        status = '{"token": f"t{n}", "expirationTimestamp": "2001-01-01T00:00:00Z"}'
        pauses = Pauses()
        found = credentials(plugin(code + SAY.format(status=status)), clock=pauses)
        assert [found.authorization() for _ in range(3)] == ["Bearer t1"] * 3
        pauses.time += 11

        assert [found.authorization() for _ in range(3)] == ["Bearer t2"] * 3

    @pytest.mark.parametrize(
        "odd",
        ['"expirationTimestamp": "soon"', '"expirationTimestamp": 5', '"expirationTimestamp": {"a": 1}'],
    )
    def test_an_odd_answer_at_renewal_is_told_once_and_the_token_used_on(
        self, plugin: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, odd: str
    ) -> None:
        first = '"token": "t1", "expirationTimestamp": "2001-01-01T00:00:00Z"'
        answer = tmp_path / "answer"
        answer.write_text(f"{{{first}}}")
        code = f"import json; answer = json.load(open({str(answer)!r}))\n" + SAY.format(status="answer")
        pauses = Pauses()
        found = credentials(plugin(code), clock=pauses)
        found.authorization()

        def later() -> str:
            pauses.time += 11
            return found.authorization()

        answer.write_text(f'{{"token": "t2", {odd}}}')
        assert [later() for _ in range(3)] == ["Bearer t1"] * 3
        assert caplog.text.count("could not be renewed") == 1

        answer.write_text(f"{{{first.replace('t1', 't3')}}}")
        assert later() == "Bearer t3"
        answer.write_text(f'{{"token": "t2", {odd}}}')
        later()
        assert caplog.text.count("could not be renewed") == 2

    def test_one_that_fails_says_why(self, plugin: Callable[..., Path]) -> None:
        text = refused(
            path=plugin("import sys; print('x', file=sys.stderr); sys.exit('log in first\x1b[31m')")
        )

        assert "user of context 'prod': its exec plugin" in text
        assert "failed with status 1: log in first\\x1b[31m" in text

    def test_one_that_is_not_there(self, plugin: Callable[..., Path]) -> None:
        path = plugin("", command="no-such-plugin", installHint="install it with apt")

        assert (
            "its exec plugin 'no-such-plugin' cannot be run: no such file or directory (install it with apt)"
            in refused(path=path)
        )

    @pytest.mark.parametrize(
        "code",
        [
            f"print({TOKEN!r})",
            "",
            f'print(\'{{"status": {{"token": "{TOKEN}"}}}}\')',
            f"print('[\"{TOKEN}\"]')",
        ],
    )
    def test_one_that_answers_something_else(self, plugin: Callable[..., Path], code: str) -> None:
        assert "answers no ExecCredential" in refused(path=plugin(code))

    def test_one_of_another_version(self, plugin: Callable[..., Path]) -> None:
        path = plugin(saying(token=TOKEN), apiVersion="client.authentication.k8s.io/v9")

        assert "answers no ExecCredential of client.authentication.k8s.io/v9" in refused(path=path)

    def test_one_that_gives_nothing(self, plugin: Callable[..., Path]) -> None:
        assert "gives neither a token nor a certificate" in refused(path=plugin(saying(clientKeyData=TOKEN)))

    def test_one_that_hangs_is_killed_with_all_it_started(
        self, plugin: Callable[..., Path], tmp_path: Path
    ) -> None:
        told = tmp_path / "pid"
        code = f"sleep 600 & echo $! > {told}; wait"
        path = plugin("", command="sh", args=["-c", code])

        def started() -> bool:
            assert "did not answer within 0.5 s and was killed" in refused(path=path, timeout="500ms")
            return told.is_file() and told.read_text().endswith("\n")

        assert eventually(started), "half a second may be too short for a busy machine"
        assert eventually(lambda: not is_running(int(told.read_text())))

    def test_one_that_fails_is_run_once_a_second_at_most(
        self, plugin: Callable[..., Path], connect: Callable[..., Client], tmp_path: Path, pauses: Pauses
    ) -> None:
        """However many targets there are."""
        count = tmp_path / "count"
        client = connect(
            plugin(f"open({str(count)!r}, 'a').write('x'); raise SystemExit('no')"), pauses=pauses
        )
        for _ in range(5):
            with pytest.raises(Unauthorized, match="failed with status 1: no"):
                client.request("GET", SECRET, "default")
        assert count.read_text() == "x"

        pauses.time += 1.1
        with pytest.raises(Unauthorized):
            client.request("GET", SECRET, "default")
        assert count.read_text() == "xx"

    def test_the_library_s_own_log_says_nothing(
        self, plugin: Callable[..., Path], caplog: pytest.LogCaptureFixture
    ) -> None:
        refused(path=plugin("import sys; sys.exit('x')"))

        assert caplog.text == ""


def is_running(pid: int) -> bool:
    """Whether it is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


SAY = (
    "import json; print(json.dumps({{'apiVersion': '"
    + EXEC
    + "', 'kind': 'ExecCredential', 'status': {status}}}))"
)


def saying(**status: str) -> str:
    """The code of a plugin that gives this."""
    return SAY.format(status=json.dumps(status))


class TestRefusedCredentials:
    def test_where_they_come_from_is_told(
        self, api_server: ApiServer, connect: Callable[..., Client], tmp_path: Path
    ) -> None:
        path = api_server.kubeconfig(tmp_path / "config", token="wrong-hunter2")
        with pytest.raises(Unauthorized) as failure:
            connect(path).request("GET", SECRET, "default")

        assert failure.value.status == 401
        assert f"they come from the context 'test' of {path}" in str(failure.value)
        assert "hunter2" not in str(failure.value)

    def test_they_are_read_once_a_second_at_most(
        self, api_server: ApiServer, connect: Callable[..., Client], tmp_path: Path, pauses: Pauses
    ) -> None:
        path = api_server.kubeconfig(tmp_path / "config", token="wrong")
        client = connect(path, pauses=pauses)
        api_server.forget_requests()
        for _ in range(5):
            with pytest.raises(Unauthorized):
                client.request("GET", SECRET, "default")
        assert len(api_server.requests) == 6

        api_server.kubeconfig(tmp_path / "config")
        pauses.time += 1.1
        assert client.request("GET", SECRET, "default").status == 200

    def test_a_create_is_sent_again_with_the_new_ones(
        self, api_server: ApiServer, connect: Callable[..., Client], tmp_path: Path
    ) -> None:
        client = logged_in(connect, api_server.kubeconfig(tmp_path / "config", token="wrong"))
        api_server.kubeconfig(tmp_path / "config")

        assert client.request("POST", SECRET, "default", body={"metadata": {"name": "app"}}).status == 201

    def test_a_watch_begins_with_the_new_ones(
        self, api_server: ApiServer, connect: Callable[..., Client], tmp_path: Path
    ) -> None:
        client = logged_in(connect, api_server.kubeconfig(tmp_path / "config", token="wrong"))
        api_server.kubeconfig(tmp_path / "config")
        with client.stream(SECRET, "default", query={"timeoutSeconds": "1"}, read_timeout=60):
            assert api_server.count("watch") == 2

    def test_files_that_are_gone_by_then_are_named(
        self, api_server: ApiServer, connect: Callable[..., Client], tmp_path: Path
    ) -> None:
        client = logged_in(connect, api_server.kubeconfig(tmp_path / "config", token="wrong"))
        (tmp_path / "config").unlink()

        with pytest.raises(Unauthorized, match="there is no kubeconfig"):
            client.request("GET", SECRET, "default")

    def test_who_loses_all_rights_is_no_stranger(
        self, api_server: ApiServer, connect: Callable[..., Client], tmp_path: Path
    ) -> None:
        client = connect(api_server.kubeconfig(tmp_path / "config", token=api_server.user("jane")))

        with pytest.raises(ApiFailure) as failure:
            client.request("GET", SECRET, "default")
        assert type(failure.value) is Forbidden
