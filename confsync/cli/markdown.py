"""Cells of Markdown tables that nothing in them can break.

What is put in a cell comes from a store, or from whoever wrote the configuration. A backtick, a `|`, a backslash or
HTML in it must neither end the cell nor become formatting, a link or a mention. Text without the first three is put in
a code span, in which nothing else has a meaning. For the others there is `<code>` with each sign written as a character
reference, which by CommonMark (section 2.5, "Entity and numeric character references") cannot stand for a sign of the
syntax.
"""

from __future__ import annotations

import re

from confsync.text import printable


def code(text: str) -> str:
    """`text` as code in a cell of a table, whatever is in it."""
    text = printable(text)
    if not text:
        return ""
    if not re.search(r"[`|\\]", text):
        return f"`{text}`"
    return f"<code>{_references(text)}</code>"


def escaped(text: str) -> str:
    """`text` as text in a cell of a table, whatever is in it."""
    return _references(printable(text))


def _references(text: str) -> str:
    return re.sub(
        r"[^\w\s.,;/=()?%:'-]|_|:(?![\d\s])",
        lambda sign: f"&#{ord(sign[0])};" if sign[0].isascii() else sign[0],
        text,
    )
