"""HTTP: a request becomes a Call, an Answer becomes bytes."""

from __future__ import annotations

import json
import posixpath
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from .answers import Answer, Refused
from .call import Call
from .durations import seconds
from .faults import Fault
from .request_log import Request

if TYPE_CHECKING:
    from .listener import Listener

_OPERATIONS = {
    "GET": "read",
    "LIST": "list",
    "POST": "update",
    "PUT": "update",
    "DELETE": "delete",
    "PATCH": "patch",
}


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def handle_request(self) -> None:
        owner = self.server.owner
        owner.log.began()
        try:
            self._handle()
        except ConnectionError:
            self.close_connection = True
        finally:
            owner.log.ended()

    do_GET = do_LIST = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = handle_request  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base names it so
        """Prints nothing."""

    def _handle(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        fault = owner.faults.take(self.command, path)
        if fault and fault.delay:
            owner.pause(fault.delay)
        if fault and fault.drop:
            self._drop(path, body, fault)
            return
        if fault and fault.status is not None:
            self._send(path, fault.status, _fault_body(fault), fault.headers)
            return
        status, payload, headers = self._answered(path, body)
        self._send(path, status, payload, headers, cut=fault.cut if fault else None)

    def _answered(self, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        try:
            answer = self._answer(path, body)
        except Refused as refused:
            return refused.status, _json({"errors": refused.errors}), refused.headers
        except Exception as exc:  # noqa: BLE001 - a bug of the stand-in must fail the test, not hang the client
            self.server.owner.bugs.append(exc)
            return 500, _json({"errors": [f"the stand-in for Vault failed: {exc!r}"]}), {}
        if answer.text is not None:
            return answer.status, answer.text.encode(), answer.headers
        content = answer.body()
        return answer.status, b"" if content is None else _json(content), answer.headers

    def _answer(self, path: str, body: bytes) -> Answer:
        clean = posixpath.normpath(path) + ("/" if path.endswith("/") and path != "/" else "")
        if clean != path:
            query = urlsplit(self.path).query
            return Answer(
                status=301, text="", headers={"Location": quote(clean) + (f"?{query}" if query else "")}
            )
        if not path.isprintable():
            return Answer(status=400, text="")
        if not path.startswith("/v1/"):
            return Answer(status=404, text="404 page not found\n", headers={"Content-Type": "text/plain"})
        return self.server.owner.core.answer(self._call(path.removeprefix("/v1/"), body))

    def _call(self, path: str, body: bytes) -> Call:
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        listing = self.command == "GET" and query.get("list") in ("true", "1")
        operation = "list" if listing else _OPERATIONS.get(self.command)
        if self.command == "HEAD" and path.rstrip("/") == "sys/health":
            operation = "read"
        if operation is None:
            raise Refused(405)
        if operation == "list" and not path.endswith("/"):
            path += "/"
        namespace = (self.headers.get("X-Vault-Namespace") or "").strip("/")
        return Call(
            operation,
            f"{namespace}/{path}" if namespace not in ("", "root") else path,
            self.command,
            query=query,
            body=_parsed(body) if operation in ("update", "delete", "patch") else {},
            token=self._token(),
            wrap_ttl=seconds(self.headers.get("X-Vault-Wrap-TTL")),
            client=self.client_address[0],
            client_certificate=self.server.certificate_of(self.connection),
            over_tls=self.server.tls is not None,
        )

    def _token(self) -> str:
        bearer = self.headers.get("Authorization") or ""
        return self.headers.get("X-Vault-Token") or bearer.removeprefix("Bearer ").strip()

    def _drop(self, path: str, body: bytes, fault: Fault) -> None:
        if fault.processed:
            self._answered(path, body)
        self.server.owner.log.note(Request(self.command, path, 0, self._token()))
        self.close_connection = True
        self.server.hang_up(self.connection)

    def _send(
        self, path: str, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
    ) -> None:
        self.server.owner.log.note(Request(self.command, path, status, self._token()))
        date = formatdate(self.server.owner.clock.now(), usegmt=True)
        lines = {"Cache-Control": "no-store", "Content-Type": "application/json", "Date": date} | headers
        if status != 204:
            lines["Content-Length"] = str(len(body))
        head = f"HTTP/1.1 {status} {self.responses.get(status, ('',))[0]}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        if cut is not None:
            self.close_connection = True
            body = body[:cut]
        if self.command == "HEAD":
            body = b""
        self.wfile.write(head.encode("latin-1") + b"\r\n" + body)


def _parsed(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        parsed = json.loads(body)
    except ValueError as exc:
        raise Refused(400, "error parsing JSON") from exc
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise Refused(400, "error parsing JSON")
    return parsed


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _fault_body(fault: Fault) -> bytes:
    return _json({"errors": fault.errors}) if fault.text is None else fault.text.encode()
