"""Watches: each event as soon as its line has come, an end at once when somebody closes, the ways they break."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from stand_ins.common.certificates import Authority
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster

from confsync.sinks.kubernetes.client import Client, Stream
from confsync.sinks.kubernetes.failures import ApiFailure, Gone, Unauthorized, Unreachable
from confsync.sinks.kubernetes.resources import SECRET
from confsync.testing.waiting import eventually

LINE = json.dumps({"type": "ADDED", "object": {"metadata": {"name": "a"}}}).encode()


class Reader:
    """Reads a stream in a thread of its own, to its end.

    Attributes:
        events: what came.
        ended: None, or what it ended with.
    """

    def __init__(self, stream: Stream) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.ended: Exception | None = None
        self._stream = stream
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            with self._stream:
                for event in self._stream:
                    self.events.put(event)
        except Exception as exc:  # noqa: BLE001 - shown by the test
            self.ended = exc

    def ends(self) -> bool:
        self.thread.join(30)
        return not self.thread.is_alive()


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[ApiServer]:
    request.getfixturevalue("api_server")  # skips where a real cluster is to be used
    with ApiServer(tls=authority.server() if request.param == "https" else None) as server:
        yield server


@pytest.fixture
def watcher(
    server: ApiServer, connect: Callable[..., Client], authority: Authority, tmp_path: Path
) -> Client:
    """A client of `server`."""
    return connect(server.kubeconfig(tmp_path / "config", ca=authority.cert))


def watch(client: Client, **query: str) -> Stream:
    return client.stream(SECRET, "default", query=query, read_timeout=60)


def edit(server: ApiServer, name: str) -> None:
    """Makes an object without a request."""
    body = {"metadata": {"name": name}, "data": {"a": "MQ=="}}
    server.core.do("POST", "/api/v1/namespaces/default/secrets", body)


class TestEvents:
    def test_they_come_as_they_happen(self, client: Client, cluster: Cluster) -> None:
        with client.stream(SECRET, cluster.namespace, read_timeout=60) as stream:
            events = iter(stream)
            made = cluster.admin.secret(cluster.namespace, "app", {"a": "1"})
            added = next(events)
            cluster.admin.delete("secrets", cluster.namespace, "app")
            deleted = next(events)

        assert (added["type"], deleted["type"]) == ("ADDED", "DELETED")
        assert added["object"]["metadata"]["uid"] == made["metadata"]["uid"]

    def test_what_was_asked_for_is_what_is_watched(self, client: Client, cluster: Cluster) -> None:
        cluster.admin.secret(cluster.namespace, "other", {})
        cluster.admin.secret(cluster.namespace, "ours", {}, metadata={"labels": {"is": "ours"}})
        with client.stream(
            SECRET, cluster.namespace, query={"labelSelector": "is=ours"}, read_timeout=60
        ) as stream:
            assert next(iter(stream))["object"]["metadata"]["name"] == "ours"

    def test_the_server_s_timeout_is_an_end_and_no_failure(self, client: Client, cluster: Cluster) -> None:
        with client.stream(
            SECRET, cluster.namespace, query={"timeoutSeconds": "1"}, read_timeout=60
        ) as stream:
            assert list(stream) == []

    def test_an_object_of_a_megabyte(self, client: Client, cluster: Cluster) -> None:
        cluster.admin.config_map(cluster.namespace, "big", {"a": "x" * 1_000_000})
        with client.stream(SECRET, cluster.namespace, read_timeout=60) as stream:
            cluster.admin.secret(cluster.namespace, "big", {"a": "x" * 700_000})

            assert len(next(iter(stream))["object"]["data"]["a"]) > 900_000


class TestClosing:
    def test_from_another_thread_it_ends_the_reader_at_once(self, server: ApiServer, watcher: Client) -> None:
        stream = watch(watcher)
        reader = Reader(stream)
        assert eventually(lambda: server.watches() == 1)
        stream.close()

        assert reader.ends()
        assert reader.ended is None
        assert eventually(lambda: server.watches() == 0)

    def test_between_two_events_too(self, server: ApiServer, watcher: Client) -> None:
        stream = watch(watcher)
        reader = Reader(stream)
        edit(server, "app")
        assert reader.events.get(timeout=30)["type"] == "ADDED"
        stream.close()

        assert reader.ends()
        assert reader.ended is None

    def test_before_anything_is_read(self, watcher: Client) -> None:
        stream = watch(watcher)
        stream.close()
        stream.close()

        assert list(stream) == []

    def test_an_event_that_comes_after_it_is_not_given(self, server: ApiServer, watcher: Client) -> None:
        with watch(watcher) as stream:
            edit(server, "a")
            events = iter(stream)
            next(events)
            stream.close()
            edit(server, "b")

            assert list(events) == []

    def test_closing_the_client_ends_all(self, server: ApiServer, watcher: Client) -> None:
        readers = [Reader(watch(watcher)) for _ in range(3)]
        assert eventually(lambda: server.watches() == 3)
        watcher.close()

        assert all(reader.ends() for reader in readers)
        assert [reader.ended for reader in readers] == [None] * 3

    def test_a_late_close_disturbs_no_other_request(self, server: ApiServer, watcher: Client) -> None:
        """For the connection of a watch that has ended is not used for something else."""
        stream = watch(watcher)
        assert eventually(lambda: server.watches() == 1)
        server.end_watches()
        assert list(stream) == []
        server.forget_requests()
        watcher.request("GET", SECRET, "default")
        stream.close()

        assert watcher.request("GET", SECRET, "default", retry=False).status == 200
        assert server.log.connections == 1

    def test_a_watch_takes_no_connection_from_the_pool(self, server: ApiServer, watcher: Client) -> None:
        with watch(watcher):
            watcher.request("GET", SECRET, "default")
            watcher.request("GET", SECRET, "default")

            assert server.log.connections == 2


class TestBreaking:
    def test_the_past_is_forgotten(self, api_server: ApiServer, client: Client) -> None:
        edit(api_server, "a")
        api_server.compact()
        with watch(client, resourceVersion="1") as stream, pytest.raises(Gone) as failure:
            list(stream)

        assert failure.value.status == 410

    def test_the_past_is_forgotten_by_an_answer(self, api_server: ApiServer, client: Client) -> None:
        api_server.faults.expired(verb="watch")

        with pytest.raises(Gone):
            watch(client)

    def test_the_connection_is_lost(self, server: ApiServer, watcher: Client) -> None:
        reader = Reader(watch(watcher))
        assert eventually(lambda: server.watches() == 1)
        server.stop()

        assert reader.ends()
        assert isinstance(reader.ended, Unreachable)

    def test_it_is_cut_in_the_middle_of_an_event(self, server: ApiServer, watcher: Client) -> None:
        server.faults.cut(30, verb="watch")
        reader = Reader(watch(watcher))
        edit(server, "app")

        assert reader.ends()
        assert isinstance(reader.ended, Unreachable)
        assert reader.events.empty()

    def test_silence(self, client: Client) -> None:
        def opened() -> Stream | None:
            with suppress(Unreachable):  # a busy machine may take longer to begin
                return client.stream(SECRET, "default", read_timeout=0.1)
            return None

        with eventually(opened) as stream, pytest.raises(Unreachable, match="no answer in time"):
            list(stream)

    def test_it_is_tried_once(self, api_server: ApiServer, client: Client) -> None:
        broken = api_server.faults.broken(verb="watch", times=None)
        with pytest.raises(Unreachable):
            watch(client)

        assert broken.hits == 1

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [("unauthorized", Unauthorized), ("rate_limited", Unreachable), ("no_json", Unreachable)],
    )
    def test_it_cannot_begin(
        self, api_server: ApiServer, client: Client, fault: str, kind: type[ApiFailure]
    ) -> None:
        getattr(api_server.faults, fault)(verb="watch", times=None)

        with pytest.raises(kind):
            list(watch(client))


class TestBytes:
    """A server that sends exactly what it is told, when it is told."""

    @pytest.fixture
    def raw(self) -> Iterator[RawServer]:
        with RawServer() as server:
            yield server

    @pytest.fixture
    def stream(self, raw: RawServer, connect: Callable[..., Client], tmp_path: Path) -> Iterator[Stream]:
        raw.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with watch(connect(raw.kubeconfig(tmp_path))) as stream:
            yield stream

    def test_an_event_is_given_when_its_newline_has_come_and_not_before(
        self, raw: RawServer, stream: Stream
    ) -> None:
        reader = Reader(stream)
        raw.send(chunk(LINE[:10]))
        raw.send(chunk(LINE[10:]))
        with pytest.raises(queue.Empty):
            reader.events.get(timeout=0.05)
        raw.send(chunk(b"\n"))

        assert reader.events.get(timeout=30)["type"] == "ADDED"

    def test_several_in_one_chunk_and_one_in_several(self, raw: RawServer, stream: Stream) -> None:
        raw.send(chunk(LINE + b"\n" + LINE + b"\r\n\n" + LINE[:5]))
        raw.send(chunk(LINE[5:20]) + chunk(LINE[20:] + b"\n"))
        raw.send(b"0\r\n\r\n")

        assert list(stream) == [json.loads(LINE)] * 3

    def test_an_event_whose_chunk_has_not_come_whole(self, raw: RawServer, stream: Stream) -> None:
        """A proxy may put chunks together as it likes."""
        raw.send(b"%x\r\n" % 10_000 + LINE + b"\n")

        assert next(iter(stream)) == json.loads(LINE)

    @pytest.mark.parametrize("line", [b"{", b"[]", b"5", b"null", b'{"type": "ADDED"}', b"<html>"])
    def test_what_is_no_event(self, raw: RawServer, stream: Stream, line: bytes) -> None:
        raw.send(chunk(line + b"\n"))

        with pytest.raises(Unreachable, match="half an event"):
            list(stream)

    def test_an_end_in_the_middle_of_a_line(self, raw: RawServer, stream: Stream) -> None:
        raw.send(chunk(LINE[:-5]) + b"0\r\n\r\n")

        with pytest.raises(Unreachable, match="half an event"):
            list(stream)

    @pytest.mark.parametrize("status", [{}, {"code": "410"}, {"code": 0}, None, "text"])
    def test_an_error_of_no_known_form(self, raw: RawServer, stream: Stream, status: object) -> None:
        raw.send(chunk(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"))

        with pytest.raises(Unreachable):
            list(stream)

    def test_half_a_refusal(self, raw: RawServer, connect: Callable[..., Client], tmp_path: Path) -> None:
        raw.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n{")
        raw.hang_up()

        with pytest.raises(Unreachable, match="half an answer"):
            watch(connect(raw.kubeconfig(tmp_path)))


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


class RawServer:
    """Takes one connection, reads a request, and sends what it is told to, when it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._outgoing: queue.Queue[bytes | None] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.hang_up()
        self._listener.close()
        self._thread.join(30)

    def send(self, content: bytes) -> None:
        self._outgoing.put(content)

    def hang_up(self) -> None:
        self._outgoing.put(None)

    def kubeconfig(self, directory: Path) -> Path:
        """Writes one without credentials; gives its path."""
        host, port = self._listener.getsockname()
        context = {"name": "raw", "context": {"cluster": "raw"}}
        cluster = {"name": "raw", "cluster": {"server": f"http://{host}:{port}"}}
        content = {"current-context": "raw", "contexts": [context], "clusters": [cluster]}
        path = directory / "raw.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (content := self._outgoing.get()) is not None:
                connection.sendall(content)
