"""Jinja2's sandbox, made to ask the budget before every loop turn, call and operator that could run away.

Jinja's own sandbox keeps templates from Python's internals, and bounds `range`. It bounds neither nested loops nor
strings that double at every turn; the transformation of the syntax tree below closes that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from confsync.errors import LimitExceeded, RenderError
from confsync.render import budget
from confsync.render.addressed import SecretFields
from confsync.render.recorder import note_derived

_MOST_DIGITS = 100_000  # bits of an integer: far beyond any configuration, far below what stalls a process


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment every template is compiled and rendered in. Thread-safe once filled with filters and globals."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, **options: Any) -> None:
        options.setdefault("finalize", bounded)
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"],
            **options,
        )

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template: nodes.Template = _Instrument().visit(super()._parse(source, name, filename))
        return template

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: of a secret, a field."""
        if isinstance(obj, SecretFields):
            return obj.attribute(attribute)
        return super().getattr(obj, attribute)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        active = budget.active()
        if active is not None:
            active.turn()
            args = tuple(_held(argument, active) for argument in args) if _is_join(obj) else args
            _refuse_huge(obj, args, kwargs)
        result = super().call(context, obj, *args, **kwargs)
        this = getattr(getattr(obj, "__wrapped__", obj), "__self__", None)
        if isinstance(this, str | bytes):
            note_derived(result, this, *args, *kwargs.values())  # upper, split, removeprefix…
        if active is not None:
            active.size(_size(result))
        return result

    def call_filter(self, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """What `map` does to every item."""
        self.turn()
        return super().call_filter(name, bounded(value) if name in _WRITING else value, *args, **kwargs)

    def call_test(self, name: str, value: Any, *args: Any, **kwargs: Any) -> bool:
        """What `select` does to every item."""
        self.turn()
        return bool(super().call_test(name, value, *args, **kwargs))

    @staticmethod
    def bounded(value: Any) -> Any:
        """`value`, which is about to be written out as text."""
        return bounded(value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        active = budget.active()
        if active is not None:
            active.turn()
            active.size(_length_of(operator, left, right))
        result = super().call_binop(context, operator, left, right)
        return note_derived(result, left, right) if operator == "%" else result  # of text it is a format

    @staticmethod
    def cut(value: Any, start: Any, stop: Any, step: Any) -> Any:
        """`value[start:stop:step]`."""
        return note_derived(value[start:stop:step], value)

    def turn(self) -> None:
        """Called by compiled templates at the start of every loop turn."""
        active = budget.active()
        if active is not None:
            active.turn()

    def concat_bounded(self, *parts: Any) -> str:
        """The `~` operator, which Jinja would join without bounds."""
        text = "".join(str(bounded(part)) for part in parts)
        active = budget.active()
        if active is not None:
            active.turn()
            active.size(len(text))
        return text


def bounded(value: Any) -> Any:
    """`value`, unless it is no text, or would be too long when written out as text."""
    if isinstance(value, bytes):
        raise RenderError("bytes cannot be put into text", hint="encode them, for example with |b64encode")
    active = budget.active()
    if active is not None:
        active.written(value)
    return value


_WRITING = frozenset({
    "string", "upper", "lower", "trim", "capitalize", "title", "wordcount", "replace", "indent", "center", "e",
    "escape", "forceescape", "urlencode", "wordwrap", "truncate", "striptags", "safe", "format", "join",
})  # fmt: skip
"""Filters that begin by writing their value out as text."""


class _Instrument(NodeTransformer):
    """Puts `turn` at the head of every loop body, and what builds text in the hands of what bounds it."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        node = self.generic_visit(node)  # type: ignore[assignment]
        node.body.insert(0, nodes.ExprStmt(_call("turn", [], node.lineno), lineno=node.lineno))
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:
        node = self.generic_visit(node)  # type: ignore[assignment]
        if node.name in _WRITING and node.node is not None:
            node.node = _call("bounded", [node.node], node.lineno)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:
        node = self.generic_visit(node)  # type: ignore[assignment]
        if not isinstance(node.arg, nodes.Slice):
            return node
        none = nodes.Const(None, lineno=node.lineno)
        bounds = [bound or none for bound in (node.arg.start, node.arg.stop, node.arg.step)]
        return _call("cut", [node.node, *bounds], node.lineno)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:
        node = self.generic_visit(node)  # type: ignore[assignment]
        return _call("concat_bounded", node.nodes, node.lineno)


def _call(attribute: str, arguments: list[nodes.Expr], lineno: int) -> nodes.Call:
    function = nodes.EnvironmentAttribute(attribute, lineno=lineno)
    return nodes.Call(function, arguments, [], None, None, lineno=lineno)


def _length_of(operator: str, left: Any, right: Any) -> int:
    """How large the result of `left operator right` would be, at least."""
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return 0
    if operator == "+":
        return _size(left) + _size(right)
    if operator == "*":
        if isinstance(left, int) and isinstance(right, int):
            return _bounded_bits(left.bit_length() + right.bit_length())
        return max(_size(left) * _times(right), _size(right) * _times(left))
    if operator == "**" and isinstance(left, int) and isinstance(right, int):
        return _bounded_bits(left.bit_length() * max(right, 0))
    if operator == "%" and isinstance(left, str | bytes):
        stars = (
            [abs(value) for value in _values(right) if isinstance(value, int)]
            if _STAR.search(str(left))
            else []
        )
        return _format_width(str(left)) + sum(stars) + str(left).count("%") * _longest(_values(right))
    return 0


def _values(value: Any) -> Iterable[Any]:
    """What the right side of `%` gives to be written."""
    return value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else [value]


def _longest(values: Iterable[Any]) -> int:
    """How long the longest of them is; containers are held to the limit of what may be written."""
    return max((_size(bounded(value)) for value in values), default=0)


def _size(value: Any) -> int:
    """How much memory `value` takes: a character about one byte, an item the eight of a reference to it."""
    if isinstance(value, str | bytes):
        return len(value)
    return _ITEM * len(value) if isinstance(value, list | tuple) else 0


def _times(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _bounded_bits(bits: int) -> int:
    if bits > _MOST_DIGITS:
        raise LimitExceeded("rendering computed a number of absurd size")
    return 0


_ITEM = 8
_STAR = re.compile(r"%[^A-Za-z%]*\*")
_NESTED = re.compile(r"\{[^{}]*\{")
_FIELDS = re.compile(r"%[^A-Za-z%]*|\{[^{}]*")
_AFTER_NAMES = re.compile(r"\)[^A-Za-z%]*")
_DIGITS = re.compile(r"[0-9]+")


def _format_width(text: str) -> int:
    """The largest number in the fields of a format string: it may be a width."""
    found = _FIELDS.findall(text) + (_AFTER_NAMES.findall(text) if "%(" in text else [])
    fields = text if _NESTED.search(text) else " ".join(found)
    return max((int(run[:12]) for run in _DIGITS.findall(fields)), default=0)


_WIDTH_METHODS = frozenset(
    {"center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map", "to_bytes"}
)


def _refuse_huge(function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Refuse the methods of text a result beyond all limits before they build it."""
    active = budget.active()
    name = getattr(function, "__name__", "")
    # Jinja gives templates its own `format` around the method of the text.
    this = getattr(getattr(function, "__wrapped__", function), "__self__", None)
    if active is None or not isinstance(this, str | bytes | int):
        return
    if name in _WIDTH_METHODS:
        formats = [a for a in (this, *arguments) if isinstance(a, str)] if name.startswith("format") else []
        # The numbers given to a format are what it writes, unless a field stands within another.
        given = (*arguments, *named.values()) if not formats or any(map(_NESTED.search, formats)) else ()
        widths = [argument for argument in given if isinstance(argument, int)]
        active.size(max([*widths, *map(_format_width, formats)], default=0))
        if formats:
            values = [*arguments, *named.values()]
            values += [
                value for mapping in arguments if isinstance(mapping, dict) for value in mapping.values()
            ]
            active.size(len(formats[0]) + formats[0].count("{") * _longest(values))
    elif isinstance(this, str | bytes):
        active.size(_grown(name, this, arguments))


def _is_join(function: Callable[..., Any]) -> bool:
    this = getattr(function, "__self__", None)
    return isinstance(this, str | bytes) and getattr(function, "__name__", "") == "join"


def _held(parts: Any, active: budget.Budget) -> Any:
    """What is to be joined, in the form of a list where it can be gone through but once: its length must be known."""
    if not isinstance(parts, Iterator):
        return parts
    held, length = [], 0
    for part in parts:
        active.turn()
        length += _ITEM + _size(part)
        active.size(length)
        held.append(part)
    return held


def _grown(name: str, this: str | bytes, arguments: tuple[Any, ...]) -> int:
    """How large the result of `this.name(*arguments)` will be, for the methods that can make much of little."""
    match name, arguments:
        case "replace", [(str() | bytes()) as old, (str() | bytes()) as new, *_]:
            times = _count(this, old)
            return len(this) + times * max(0, len(new) - len(old))
        case "join", [str() | bytes() | list() | tuple() | dict() as parts]:
            return len(this) * len(parts) + sum(len(part) for part in parts if isinstance(part, str | bytes))
        case "translate", [dict() as table]:
            return len(this) * max(
                (len(value) for value in table.values() if isinstance(value, str)), default=1
            )
        case "split" | "rsplit", [(str() | bytes()) as separator, *_]:
            return _ITEM * _count(this, separator)
        case "splitlines", _:
            return _ITEM * _count(this, "\n" if isinstance(this, str) else b"\n")
    return 0


def _count(text: str | bytes, part: str | bytes) -> int:
    return text.count(part) if type(text) is type(part) else 0  # type: ignore[arg-type]
