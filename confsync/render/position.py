"""Where in a template its code is running now."""

from __future__ import annotations

import sys


def template_position() -> str:
    """`template:line` of the template code that is running now, or ""."""
    frame = sys._getframe(1)  # noqa: SLF001 - the way to ask who called
    while frame is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            return f"{template.name}:{template.get_corresponding_lineno(frame.f_lineno)}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""
