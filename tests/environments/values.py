"""Values that quoting gets wrong, and any number of random ones."""

# ruff: noqa: E501, Q003, RUF001 - a table of values, which are what they are
from __future__ import annotations

import random

from hypothesis import strategies as st

from confsync.environments.variables import Variable

NASTY = (
    "", " ", "plain", "a b", " leading", "trailing ", "\ttab\t", "it's", "''", "'", '"', 'say "hi"', "`id`", "$(id)", "${HOME}", "$HOME",
    "$x", "$$", "$", "${", "${x", "${x:-y}", "${}", "${\n}", "${:-$}", "$[1+1]", "$((1+1))", "!", "!!", "#", "a #b", "a#b", "\\", "a\\", "\\\\",
    "a\\b", "\\n", "\\'", "\\\"", "\\$x", "\\`", "%s", "%25", "%0A", "a=b", "=", "a,b;c|d&e<f>g", "(x)", "[x]", "{x}", "*?~", "~/x",
    "two\nlines", "\n", "a\n", "\na", "a\n\nb", "a\\\nb", "it's\ntwo", "it's $(id)\nrm -rf /", "it's `id`", "it's \"${x}\" \\",
    "'\"`", "'\"` \\n $x", "'\"`\n#", "a'\nB=1\n", "\"\nB=1\n", "'\nNODE_OPTIONS=x\n'", "ünïcode", "日本語", "😀", "‘curly’ “quotes” „‚‛",
    "\u00a0nbsp\u00a0", "\u2028", "\x85", "\ufeff", "\x7f", "\x01\x1b[31m", "e\u0301", "-----BEGIN KEY-----\nMIIB'x\"\n-----END KEY-----\n",
    '{"a": "b\'c", "d": ["$e", 1]}', "postgres://u:p@ss%20w'rd@h:5432/db?x=1&y=$z", "p@$$w0rd!'\"`\\", "EOF", "<<EOF", "A<<B\nC\nB",
    "\r", "a\r\nb", "a\r", "\rb", "it's\r", "null", "true", "1e3", "0x10", "no", "- a", ": b", "@x", "-n", "set -gx B 1", "\x0b\x0c",
    "export B=1", "\ue000\uf8ff\uf600", "x" * 3000,
)  # fmt: skip

TRICKY = "abAB1 _/.-=:;,#!'\"\\$`{}()[]%~<>&|*?^@+\t\r\n\x01\x1b\x7f\x85\xa0\u2028\ufeffé\u2018\u2019\u201c😀\uf600"

TEXTS = st.text(st.sampled_from(TRICKY) | st.characters(codec="utf-8", exclude_characters="\0"), max_size=14)


def random_texts(count: int, seed: int) -> list[str]:
    """Texts of tricky characters, the same for the same seed."""
    dice = random.Random(seed)
    return ["".join(dice.choices(TRICKY, k=dice.randrange(1, 16))) for _ in range(count)]


def variables(values: dict[str, str] | list[str], *, sensitive: bool = False) -> list[Variable]:
    """Variables of these values, sorted by name."""
    named = (
        values if isinstance(values, dict) else {f"T_{number:04}": one for number, one in enumerate(values)}
    )
    return [Variable(name, value, f"etcd:{name}", sensitive) for name, value in sorted(named.items())]
