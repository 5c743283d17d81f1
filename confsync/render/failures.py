"""What goes wrong in a template, as one line that names template and line and gives away no secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from types import TracebackType

from jinja2.exceptions import TemplateNotFound, TemplateSyntaxError, UndefinedError

from confsync.errors import (
    ConfsyncError,
    LimitExceeded,
    MissingKeys,
    RenderError,
    SourceError,
    WrongValue,
    WrongValues,
)
from confsync.redact import redactor
from confsync.render.library import TemplateFiles
from confsync.render.recorder import Recorder
from confsync.text import did_you_mean, nearest, printable

_LONGEST = 256
_OWN_OBJECTS = {
    "confsync.render.lookup.SourceLookup object": "a source has no {0!r}; there is get, bytes, items, children, dirs, "
    'json, yaml; a key is read as SOURCE("{0}")',
    "confsync.render.addressed.AddressedLookup object": "a source of secrets has no {0!r}; there is get, list, "
    'children, dirs, metadata, decrypt, decrypt_bytes; a secret is read as SOURCE("{0}")',
    "confsync.render.job.Each object": "each has no {0!r}; there is key, value",
}
"""What Jinja calls our objects in its errors -> what to say of an attribute they do not have."""


def explain(
    error: Exception, name: str, recorder: Recorder, files: TemplateFiles, names: Iterable[str]
) -> ConfsyncError:
    """`error`, which rendering `name` raised, as a `RenderError`.

    Args:
        names: what a template may use, to suggest the nearest.
    """
    where = _where(error, name)
    if isinstance(error, LimitExceeded):
        return LimitExceeded(error.message, where=error.where or where, hint=error.hint)
    if isinstance(error, RenderError):
        return error if error.where else RenderError(error.message, where=where, hint=error.hint)
    if isinstance(error, ConfsyncError):
        return error
    if isinstance(error, TemplateSyntaxError):
        return RenderError(f"syntax error: {error.message}", where=f"{error.name or name}:{error.lineno}")
    if isinstance(error, TemplateNotFound):
        return _no_template(error, where, recorder, files)
    if isinstance(error, UndefinedError):
        return RenderError(_undefined(error, recorder, names), where=where)
    if isinstance(error, RecursionError):
        return LimitExceeded("the template calls or includes itself without end", where=where)
    if isinstance(error, MemoryError | OverflowError):
        return LimitExceeded(f"rendering needs too much ({type(error).__name__})", where=where)
    if recorder.secrets or recorder.sensitive:
        return RenderError(
            f"{type(error).__name__} (details withheld: the template has read sensitive values)", where=where
        )
    return RenderError(f"{type(error).__name__}: {printable(str(error))[:_LONGEST]}", where=where)


def without_secrets(error: ConfsyncError, recorder: Recorder) -> ConfsyncError:
    """`error`, with what the render read of sensitive values hidden: it may have gone into a path or a name."""
    redact = _redactor(recorder)
    if redact(str(error)) == str(error):
        return error
    if isinstance(error, SourceError):
        return _retold(error, redact)
    if isinstance(error, MissingKeys):
        missing = [replace(one, key=redact(one.key), detail=redact(one.detail)) for one in error.missing]
        return MissingKeys(missing, _reworded(error.wrong, redact))
    if isinstance(error, WrongValues):
        return WrongValues(_reworded(error.wrong, redact))
    kind = LimitExceeded if isinstance(error, LimitExceeded) else RenderError
    return kind(redact(str(error)))


def _reworded(wrong: Iterable[WrongValue], redact: Callable[[str], str]) -> list[WrongValue]:
    """What is said of types, owners and the like was there before any value was read."""
    return [replace(one, key=redact(one.key)) for one in wrong]


def _no_template(
    error: TemplateNotFound, where: str, recorder: Recorder, files: TemplateFiles
) -> RenderError:
    name = error.name
    if not isinstance(name, str):  # of several, all undefined
        return RenderError("the name of a template is undefined", where=where)
    near = did_you_mean(name, files.names())
    return RenderError(
        f"there is no template {_hidden(name, recorder)!r}{near}", where=where, hint=_searched(files)
    )


def _redactor(recorder: Recorder) -> Callable[[str], str]:
    return redactor(recorder.secrets | recorder.suspects)


def _hidden(text: str, recorder: Recorder) -> str:
    """`text`, safe and short: hidden first and cut after that, so that no half of a secret is left."""
    return printable(_redactor(recorder)(text))[:_LONGEST]


def _retold(error: SourceError, redact: Callable[[str], str]) -> SourceError:
    """The same error, of the same kind, in other words."""
    told = copy(error)
    told.args = (redact(error.message),)
    told.message = redact(error.message)
    told.hint = redact(error.hint) if error.hint else None
    told.key = redact(error.key) if error.key else None
    return told


def _searched(files: TemplateFiles) -> str:
    return f"looked in {', '.join(files.directories)} and the stock library"


def _undefined(error: UndefinedError, recorder: Recorder, names: Iterable[str]) -> str:
    text = _hidden(error.message or "something is undefined", recorder)
    found = text.split("'")
    if len(found) == 5 and found[1] in _OWN_OBJECTS:
        return f"{_OWN_OBJECTS[found[1]].format(found[3])}"
    near = nearest(found[1], names) if len(found) > 1 and text.endswith("is undefined") else None
    return f"{text}; did you mean {near!r}?" if near else text


def _where(error: BaseException, name: str) -> str:
    """`template:line` of the innermost template code in the traceback."""
    found = name
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = f"{template.name or name}:{template.get_corresponding_lineno(trace.tb_lineno)}"
        trace = trace.tb_next
    return found
