"""The templates of a configuration, compiled: those in files and those written in the configuration itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

from jinja2 import Template, TemplateNotFound
from jinja2.environment import TemplateExpression

from confsync.errors import ConfsyncError
from confsync.render import filters
from confsync.render.library import TemplateEnvironment, TemplateFiles
from confsync.render.paths import escape_segment
from confsync.render.recorder import current, note_derived
from confsync.render.sandbox import Sandbox, bounded

_INLINE_KEPT = 256
_K = TypeVar("_K")
_V = TypeVar("_V")


class Templates:
    """Compiles templates and keeps them; holds no values. Thread-safe.

    Args:
        files: where template files come from.
        bytecode: directory for compiled templates, or None.
    """

    def __init__(self, files: TemplateFiles, bytecode: Path | None) -> None:
        self.files = files
        self._environment = TemplateEnvironment(files, bytecode)
        self._paths = Sandbox(finalize=lambda value: escape_segment(bounded(value)))
        self._code: dict[tuple[Sandbox, str], CodeType] = {}
        self._inline: dict[tuple[Sandbox, str, str], Template] = {}
        for environment in (self._environment, self._paths):
            environment.filters.update(_reporting({**environment.filters, **filters.FILTERS}))
            environment.tests.update(filters.TESTS)
            environment.globals.update(_reporting(filters.GLOBALS))

    def compiled(self, text: str, name: str, *, of_path: bool = False) -> Template:
        """An inline template, compiled once however many write it; errors call it `name`."""
        environment = self._paths if of_path else self._environment
        key = (environment, text, name)
        template = self._inline.get(key)
        if template is None:
            code = self._code.get((environment, text)) or environment.compile(text)
            template = Template.from_code(environment, code, environment.make_globals(None))
            template.name = name
            _keep(self._code, (environment, text), code)
            _keep(self._inline, key, template)
        return template

    def named(self, name: str) -> Template:
        """A template file, compiled, from memory or the bytecode cache where possible."""
        return self._environment.get_template(name)

    def text_of(self, name: str) -> str:
        """The text of a template file, or "" when it is gone or cannot be read: then nothing of it is known."""
        try:
            return self.files.read(name)[0]
        except (ConfsyncError, TemplateNotFound):
            return ""

    def expression(self, text: str) -> TemplateExpression:
        """An expression such as that of `for_each`, compiled."""
        return self._environment.compile_expression(text, undefined_to_none=False)


def _keep(cache: dict[_K, _V], key: _K, value: _V) -> None:
    if len(cache) >= _INLINE_KEPT:
        cache.clear()
    cache[key] = value


def _reporting(functions: Mapping[str, Any]) -> dict[str, Any]:
    """The functions; those that are impure, or give what may be secret, tell it to the render in progress."""
    return {
        name: _noting(function)
        if name in filters.IMPURE
        else function
        if name in filters.SECRETIVE
        else _choosing(function)
        if name in filters.CHOOSING
        else _deriving(function, opaque=name in filters.DERIVING)
        for name, function in functions.items()
    }


def _noting(function: Any) -> Any:
    def noting(*args: Any, **kwargs: Any) -> Any:
        recorder = current()
        if recorder is not None:
            recorder.impure = True
        return function(*args, **kwargs)

    noting.__doc__ = function.__doc__
    return noting


def _choosing(function: Any) -> Any:
    """Of text it takes apart, what it gives is noted."""
    deriving = _deriving(function, opaque=False)

    def choosing(*args: Any, **kwargs: Any) -> Any:
        of_text = any(
            isinstance(value, str | bytes) for value in args[:2]
        )  # the first may be what Jinja passes
        return (deriving if of_text else function)(*args, **kwargs)

    return _called_alike(choosing, function)


def _called_alike(wrapper: Any, function: Any) -> Any:
    wrapper.__dict__.update(getattr(function, "__dict__", {}))  # what Jinja is to call it with
    wrapper.__doc__ = function.__doc__
    return wrapper


def _deriving(function: Any, opaque: bool) -> Any:
    def deriving(*args: Any, **kwargs: Any) -> Any:
        return note_derived(function(*args, **kwargs), *args, *kwargs.values(), opaque=opaque)

    return _called_alike(deriving, function)
