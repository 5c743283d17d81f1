"""A filter that is imported when it is first called."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from jinja2.runtime import Undefined


class Deferred:
    """Stands for a function of a module; refuses undefined arguments on its behalf.

    A key that is missing is noted and handed on in place of a result, so that one render names all missing
    keys; any other undefined value raises `jinja2.UndefinedError`.
    """

    __slots__ = ("__name__", "_function", "_module")

    def __init__(self, module: str, name: str) -> None:
        self.__name__ = name
        self._module = module
        self._function: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, Undefined):
                value.note()  # on any but a missing key this is an UndefinedError
                return value
        return (self._function or self.__wrapped__)(*args, **kwargs)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function itself: its signature and docstring are the documentation."""
        if self._function is None:
            self._function = getattr(import_module(self._module), self.__name__)
        assert self._function is not None  # noqa: S101 - for the type checker
        return self._function
