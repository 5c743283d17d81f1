"""Jinja's own filters, where a template could make them build gigabytes, run for hours or differ each time.

They behave as Jinja's do, but look first at how large the result would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import filters as jinja
from jinja2.utils import pass_environment, pass_eval_context

from confsync.errors import LimitExceeded, RenderError
from confsync.render.filters.values import MOST, allow, describe, integer

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.nodes import EvalContext

_LONGEST_QUADRATIC = 100_000
"""For algorithms that take the square of the length, in characters."""
_MOST_DIGITS = 6
_FINEST_ROUNDING = 100
_WIDEST_JSON_INDENT = 32


def indent(s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """Every line but the first indented: `{{ 'a⏎b'|indent(2) }} → a⏎  b`."""
    word = str(s)
    pad = len(width) if isinstance(width, str) else integer(width, "indent")
    allow(len(word) + (word.count("\n") + 1) * pad)
    return jinja.do_indent(s, width, first, blank)


def center(value: Any, width: int = 80) -> str:
    """Text in the middle of a field: `{{ 'a'|center(3) }}| →  a |`."""
    return jinja.do_center(value, integer(width, "center"))


def batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Any:
    """Items in lists of so many: `{{ [1, 2, 3]|batch(2)|list }} → [[1, 2], [3]]`."""
    return jinja.do_batch(_items(value), integer(linecount, "batch"), fill_with)


def slice_(value: Any, slices: int, fill_with: Any = None) -> Any:
    """Items in so many lists: `{{ [1, 2, 3]|slice(2)|list }} → [[1, 2], [3]]`."""
    return jinja.sync_do_slice(_items(value), integer(slices, "slice"), fill_with)


def list_(value: Any) -> list[Any]:
    """The items as a list: `{{ 'ab'|list }} → ['a', 'b']`."""
    return list(_items(value))


@pass_environment
def wordwrap(environment: Environment, s: Any, width: int = 79, *args: Any, **kwargs: Any) -> str:
    """Text wrapped at a width: `{{ 'a b'|wordwrap(1) }} → a⏎b`."""
    word = _short(str(s), "wordwrap")
    columns = integer(width, "wordwrap")
    breaks = [value for value in (*args, *kwargs.values()) if isinstance(value, str)]
    allow(len(word) * (1 + sum(map(len, breaks))))
    return jinja.do_wordwrap(environment, word, columns, *args, **kwargs)


@pass_environment
def truncate(environment: Environment, s: Any, length: int = 255, *args: Any, **kwargs: Any) -> str:
    """Text cut to a length: `{{ 'abc def'|truncate(6, leeway=0) }} → abc...`."""
    return jinja.do_truncate(environment, s, integer(length, "truncate"), *args, **kwargs)


def format_(value: Any, *args: Any, **kwargs: Any) -> str:
    """Python's % formatting: `{{ '%s=%05.1f'|format('a', 2) }} → a=002.0`."""
    pattern = str(value)
    widths = "".join(char if char.isdigit() else " " for char in pattern).split()
    if any(len(digits) > _MOST_DIGITS for digits in widths):
        raise LimitExceeded(f"format: a width of more than {_MOST_DIGITS} digits is not allowed")
    given = [*args, *kwargs.values()]
    stars = [integer(each, "format") for each in args if isinstance(each, int)] if "*" in pattern else []
    longest = max((_written_length(each) for each in given), default=0)
    allow(len(pattern) + sum(map(int, widths)) + pattern.count("%") * longest + sum(map(abs, stars)))
    return str(jinja.do_format(value, *args, **kwargs))


@pass_eval_context
def replace(eval_ctx: EvalContext, s: Any, old: Any, new: Any, count: int | None = None) -> str:
    """Every occurrence replaced: `{{ 'a.b.c'|replace('.', '-') }} → a-b-c`."""
    word, before, after = str(s), str(old), str(new)
    times = word.count(before)
    if count is not None and count >= 0:
        times = min(times, count)
    allow(len(word) + times * (len(after) - len(before)))
    return jinja.do_replace(eval_ctx, s, before, after, count)


@pass_eval_context
def join(eval_ctx: EvalContext, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
    """The items with a separator between: `{{ [1, 2]|join(', ') }} → 1, 2`."""
    items = list(value)
    if attribute is not None:
        items = list(map(jinja.make_attrgetter(eval_ctx.environment, attribute), items))
    allow(len(items) * len(str(d)) + sum(map(_written_length, items)))
    return jinja.sync_do_join(eval_ctx, items, d)


@pass_environment
def sum_(
    environment: Environment, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0
) -> Any:
    """The sum of numbers: `{{ [1, 2]|sum }} → 3`."""
    if not isinstance(start, int | float):
        raise RenderError(f"sum adds numbers, not {describe(start)}")
    return jinja.sync_do_sum(environment, iterable, attribute, start)


def round_(value: Any, precision: int = 0, method: Any = "common") -> float:
    """A number rounded: `{{ 2.345|round(1) }} → 2.3`."""
    return jinja.do_round(value, integer(precision, "round", _FINEST_ROUNDING), method)


@pass_eval_context
def tojson(eval_ctx: EvalContext, value: Any, indent: int | None = None) -> Any:
    r"""As JSON safe in HTML (to_json is plain): `{{ '<a>'|tojson }} → "\u003ca\u003e"`."""
    from confsync.render.filters.plain_data import plain_data

    width = None if indent is None else integer(indent, "tojson", _WIDEST_JSON_INDENT)
    return jinja.do_tojson(eval_ctx, plain_data(value, "tojson"), width)


def striptags(value: Any) -> str:
    """Without HTML tags: `{{ '<b>a</b>'|striptags }} → a`."""
    return jinja.do_striptags(_short(str(value), "striptags"))


@pass_eval_context
def urlize(eval_ctx: EvalContext, value: Any, *args: Any, **kwargs: Any) -> str:
    """URLs made HTML links: `{{ 'a'|urlize }} → a`."""
    return jinja.do_urlize(eval_ctx, _short(str(value), "urlize", 10_000), *args, **kwargs)


def random(*_: Any) -> NoReturn:
    """Always an error: what is rendered must not differ while nothing has changed."""
    raise RenderError(
        "random would give another result at every look, and so a change every minute",
        hint="choose by a digest: items[(hostname()|sha256)[:8]|int(base=16) % items|length]",
    )


def lipsum(*_: Any, **__: Any) -> NoReturn:
    """Always an error: it is random."""
    raise RenderError("lipsum is random: it would make a change every minute")


FILTERS: Mapping[str, Any] = {
    "batch": batch, "center": center, "format": format_, "indent": indent, "join": join, "list": list_,
    "random": random, "replace": replace, "round": round_, "slice": slice_, "striptags": striptags, "sum":
    sum_, "tojson": tojson, "truncate": truncate, "urlize": urlize, "wordwrap": wordwrap,
}  # fmt: skip
GLOBALS: Mapping[str, Any] = {"lipsum": lipsum}


def _items(value: Any) -> Any:
    """`value` to go through; the letters of very long text would each become an object."""
    if isinstance(value, str | bytes) and len(value) > MOST:
        raise LimitExceeded(f"text of {len(value):,} characters is not allowed as a list")
    return value


def _short(word: str, name: str, most: int = _LONGEST_QUADRATIC) -> str:
    if len(word) > most:
        raise LimitExceeded(f"{name} takes text of up to {most:,} characters")
    return word


def _written_length(value: Any) -> int:
    """How long `value` is when written out, roughly; containers are counted by their parts."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, list | tuple | Mapping):
        return 4 * len(value)
    return 24
