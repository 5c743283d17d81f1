"""Log lines: a constant message and its facts as key=value, or as one JSON object a line. To standard error."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

from confsync.text import printable

log = logging.getLogger(__name__)

Format = Literal["text", "json"]

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}


def configure(form: Format, level: str) -> None:
    """Send confsync's log to standard error; other libraries speak only from WARNING on.

    A thread that ends by an error is logged too: Python itself would print the error's text, which may hold a value.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("confsync").setLevel(level.upper())
    logging.getLogger("confsync_backends").setLevel(level.upper())
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    threading.excepthook = _thread_ended


def _thread_ended(told: threading.ExceptHookArgs) -> None:
    if not isinstance(told.exc_value, SystemExit):
        name = told.thread.name if told.thread else ""
        log.critical(
            "a thread has ended: please report it", exc_info=told.exc_value, extra={"in_thread": name}
        )


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO target updated sync=nginx target=file:/etc/nginx.conf`."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={_quoted(value)}" for name, value in _facts(record).items())
        line = f"{_time(record)} {record.levelname} {printable(record.getMessage())}"
        trace = f"\n{trace_of(record.exc_info[1])}" if record.exc_info else ""
        return (f"{line} {facts}" if facts else line) + trace


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, message, and the facts under their own names."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["trace"] = trace_of(record.exc_info[1])
        return json.dumps(line, default=str, ensure_ascii=False)


def _quoted(value: object) -> str:
    text = str(value)
    return (
        text
        if text and text.isprintable() and not set(text) & set(' "=')
        else json.dumps(text, ensure_ascii=False)
    )


def trace_of(error: BaseException | None) -> str:
    """Where a bug showed and what kind it is; not its text, which may hold a value."""
    frames = "".join(traceback.format_tb(error.__traceback__)) if error is not None else ""
    kind = f"{type(error).__name__} (its text is withheld: it may hold a value)"
    return f"Traceback (most recent call last):\n{frames}{kind}"
