"""HTTP: a request becomes a Call, an answer becomes bytes."""

from __future__ import annotations

import json
import select
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from .answers import Answer, to_json
from .core import Core
from .faults import Fault
from .request import Call, read
from .request_log import Request
from .status import Refused
from .watches import Watch

if TYPE_CHECKING:
    from .server import Listener

BODY_LIMIT = 3 * 1024 * 1024


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def handle_request(self) -> None:
        log = self.server.owner.log
        log.began()
        try:
            self._handle()
        except ConnectionError:
            self.close_connection = True
        finally:
            log.ended()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = handle_request  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base names it so
        """Prints nothing."""

    def _handle(self) -> None:
        owner = self.server.owner
        body = self._body()
        call = read(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        call = owner.core.identified(call, self.server.certificate_of(self.connection))
        fault = owner.faults.take(call)
        if fault and fault.delay:
            owner.pause(fault.delay)
        if fault and fault.drop:
            self._drop(call, fault)
            return
        if fault and fault.answer is not None:
            self._send(call, fault.answer)
            return
        answer = self._answered(call)
        cut = fault.cut if fault else None
        if answer.watch is None:
            self._send(call, answer, cut)
        else:
            self._stream(call, answer.watch, cut)

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length)

    def _answered(self, call: Call) -> Answer:
        core: Core = self.server.owner.core
        try:
            if len(call.body) > BODY_LIMIT:
                text = f"Request entity too large: limit is {BODY_LIMIT}"
                raise Refused(413, "RequestEntityTooLarge", text)
            return core.answer(call)
        except Refused as refused:
            return of_refusal(refused)
        except Exception as exc:  # noqa: BLE001 - a bug of the stand-in must fail the test, not hang the client
            self.server.owner.bugs.append(exc)
            return Answer(500, {"message": f"the stand-in for the API server failed: {exc!r}"})

    def _drop(self, call: Call, fault: Fault) -> None:
        if fault.processed:
            self._answered(call)
        self._note(call, 0)
        self.close_connection = True
        self.server.hang_up(self.connection)

    def _send(self, call: Call, answer: Answer, cut: int | None = None) -> None:
        self._note(call, answer.status)
        body = answer.text.encode() if answer.text is not None else to_json(answer.body)
        headers = {"Content-Type": "application/json"} | answer.headers | {"Content-Length": str(len(body))}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Warning: 299 - {json.dumps(text)}" for text in call.warnings]
        if cut is not None:
            self.close_connection = True
            body = body[:cut]
        if self.command == "HEAD":
            body = b""
        self.wfile.write(self._head(answer.status, lines) + body)

    def _stream(self, call: Call, watch: Watch, cut: int | None) -> None:
        """A line for each event, as a chunked body; with `cut` it breaks off after so many bytes of them."""
        self._note(call, 200)
        self.wfile.write(self._head(200, ["Content-Type: application/json", "Transfer-Encoding: chunked"]))
        for batch in watch.events(self._is_open):
            chunk = b"".join(to_json(event) for event in batch)
            if cut is not None and len(chunk) >= cut:
                self.wfile.write(b"%x\r\n%b" % (len(chunk), chunk[:cut]))
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            cut = None if cut is None else cut - len(chunk)
        self.wfile.write(b"0\r\n\r\n")

    def _is_open(self) -> bool:
        """Whether the client has not hung up; it has nothing to say while it watches."""
        return not select.select([self.connection], [], [], 0)[0]

    def _head(self, status: int, lines: list[str]) -> bytes:
        reason = self.responses.get(status, ("",))[0]
        text = "\r\n".join([f"HTTP/1.1 {status} {reason}", "Cache-Control: no-cache, private", *lines])
        return text.encode("latin-1", "replace") + b"\r\n\r\n"

    def _note(self, call: Call, status: int) -> None:
        target = call.target
        self.server.owner.log.note(
            Request(
                call.verb, target.resource or target.path, target.namespace, target.name, status, call.user,
                self.command, self.path,
            )
        )  # fmt: skip


def of_refusal(refused: Refused) -> Answer:
    if refused.text is not None:
        headers = {"Content-Type": "text/plain; charset=utf-8"} | refused.headers
        return Answer(refused.code, None, headers, text=refused.text)
    return Answer(refused.code, refused.body, refused.headers)
