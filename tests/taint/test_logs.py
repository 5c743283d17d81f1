"""What is logged of an error that nobody foresaw is where it happened, not what it says."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator

import pytest

from confsync.logs import configure

SECRET = "p@ss-w0rd!x"


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield
    root.handlers[:], root.level = kept


def fail() -> None:
    try:
        int(SECRET)
    except ValueError as exc:
        raise RuntimeError(f"no number: {SECRET}") from exc


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_thread_that_ends_by_an_error_is_logged_without_its_text(form, capsys):
    configure(form, "info")
    thread = threading.Thread(target=fail, name="a-worker")
    thread.start()
    thread.join(60)
    err = capsys.readouterr().err

    assert "a thread has ended" in err
    assert "RuntimeError (its text is withheld" in err
    assert "in fail" in err
    assert SECRET not in err
    assert form == "text" or json.loads(err)["in_thread"] == "a-worker"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("logger", ["confsync.somewhere", "apscheduler.executors.default", "watchdog"])
def test_an_error_that_a_library_logs_is_logged_without_its_text(form, logger, capsys):
    configure(form, "info")
    try:
        fail()
    except RuntimeError:
        logging.getLogger(logger).exception("it went wrong")

    err = capsys.readouterr().err
    assert "it went wrong" in err
    assert SECRET not in err
