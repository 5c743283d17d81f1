"""Writes docs/reference from the code: configuration, backends' options, commands, what templates have.

    python docs/generate.py [DIRECTORY]     (or: make docs)

What is written depends on nothing but the code, so that a test can tell whether it was forgotten.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py (make docs) from the code; change it there. -->\n"

Schema = Mapping[str, Any]


def cell(text: object) -> str:
    """Text for a cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """A table, or nothing where there are no rows."""
    if rows:
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        for row in rows:
            yield "| " + " | ".join(cell(one) for one in row) + " |"
        yield ""


# The configuration

SECTIONS = (
    ("Config", "The whole file", "`confsync.yaml`, and every `conf.d/*.yaml` beside it."),
    ("Source", "`sources.NAME`", ""),
    ("Cluster", "`clusters.NAME`", ""),
    ("Defaults", "`defaults`", ""),
    ("LocalPolicy", "`local.ENVIRONMENT`", ""),
    ("Key", "`keys.KEY`", ""),
    ("Sync", "`syncs.NAME`", ""),
    ("Target", "`to`", "A bare path stands for `{file: path}`."),
    ("FileTarget", "`to.file`", "A bare path stands for `{path: …}`."),
    ("DirectoryTarget", "`to.directory`", "A bare path stands for `{path: …}`."),
    ("KubernetesSecretTarget", "`to.kubernetes_secret`", ""),
    ("KubernetesConfigMapTarget", "`to.kubernetes_config_map`", ""),
    ("NamespaceSelector", "`to.kubernetes_secret.namespace: {labels: …}`", ""),
    ("InlineTemplate", "`template: {inline: …}`", ""),
    ("Literally", "`data.NAME: {value: …}`", ""),
    ("Composed", "`data.NAME: {template: …}`", ""),
    ("Check", "`check`", "A list of words stands for `{command: […]}`; several are a list of mappings."),
    ("Reload", "`reload`", "A list of words stands for `{command: […]}`; several are a list of mappings."),
    ("HttpRequest", "`reload.http`", ""),
    ("Wait", "`wait`", ""),
    ("Limits", "`limits`", ""),
    ("MassDelete", "`mass_delete`", ""),
    ("Election", "`election`", ""),
    ("Health", "`health`", ""),
)
"""Definition -> heading and what else to say, in a reader's order."""


def configuration() -> str:
    """The fields of the configuration file."""
    from confsync.source.registry import config_schema

    schema = config_schema()
    definitions = schema["$defs"]
    lines = [
        NOTE,
        "# Configuration reference\n",
        "Every field; one that is not here is an error. [The guide](../configuration.md) says how they work",
        "together; `confsync schema` prints the same as JSON Schema.\n",
    ]
    known = [name for name, _, _ in SECTIONS]
    backends = [one for one in definitions if one not in known and one in _of_backends(definitions)]
    forgotten = set(definitions) - set(known) - set(backends)
    if forgotten:
        raise SystemExit(
            f"docs/generate.py: SECTIONS does not say where to put {', '.join(sorted(forgotten))}"
        )
    for name, heading, more in SECTIONS:
        model = schema if name == "Config" else definitions[name]
        said = "" if name == "Config" else str(model.get("description", ""))
        lines += [f"## {heading}\n", *(f"{text}\n" for text in (said, more) if text), *fields(model)]
    return "\n".join(lines).rstrip() + "\n"


def _of_backends(definitions: Schema) -> set[str]:
    """The definitions that options of backends refer to."""
    return set(re.findall(r"#/\$defs/(\w+)", str(definitions["Source"]["allOf"])))


def fields(model: Schema) -> Iterator[str]:
    """The table of a model's fields."""
    required = set(model.get("required", ()))
    rows = [
        (f"`{name}`", kind(field), default(name in required, field), field.get("description", ""))
        for name, field in model.get("properties", {}).items()
    ]
    yield from table(("field", "is", "default", "says"), rows)


def kind(field: Schema) -> str:
    """What a field holds, in words."""
    if "$ref" in field:
        return _linked(field["$ref"].rpartition("/")[2])
    if "const" in field:
        return f"`{field['const']}`"
    if choices := field.get("anyOf") or field.get("oneOf"):
        kinds = [kind(one) for one in choices if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    of = str(field.get("type"))
    return (
        _CONTAINERS[of](field)
        if of in _CONTAINERS
        else _PLAIN.get(str(field.get("format")), _PLAIN.get(of, "anything"))
    )


def _mapping(field: Schema) -> str:
    below = field.get("additionalProperties")
    if "patternProperties" in field:
        below = next(iter(field["patternProperties"].values()))
    return f"names, each with {_one_of(kind(below))}" if isinstance(below, Mapping) and below else "mapping"


_PLAIN = {
    "string": "text",
    "boolean": "true or false",
    "integer": "number",
    "number": "number",
    "duration": "duration",
    "password": "password",
}
_CONTAINERS: dict[str, Callable[[Schema], str]] = {
    "array": lambda field: f"list of {_one_of(kind(field.get('items', {})))}",
    "object": _mapping,
}


def _one_of(kinds: str) -> str:
    return f"({kinds})" if " or " in kinds and kinds != "true or false" else kinds


def _linked(name: str) -> str:
    heading = next((heading for one, heading, _ in SECTIONS if one == name), None)
    if heading is None:
        return {"Credential": "`{file: path}` or `{env: NAME}`"}.get(name, "mapping, see below")
    anchor = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
    return f"[{heading}](#{anchor})"


def default(required: bool, field: Schema) -> str:
    """What holds where the field is not given."""
    value = field.get("default")
    if required:
        return "must be given"
    if value in (None, "", {}, []) or isinstance(value, Mapping):
        return ""
    return f"`{_written(field, value)}`"


def _written(field: Schema, value: Any) -> str:
    if field.get("format") == "duration":
        from confsync.units import format_duration

        return format_duration(value)
    if isinstance(value, int) and value >= 1024**2:
        return f"{value // 1024**2}MiB"
    return json.dumps(value) if isinstance(value, bool | list) else str(value)


# The backends


def backends() -> str:
    """The options of every backend."""
    from confsync.source.registry import backend_names, option_schema

    lines = [
        NOTE,
        "# Options of the backends\n",
        "A source takes these besides `backend` and `sensitive`. [The guide](../backends.md) says how each",
        "behaves.\n",
    ]
    for name in backend_names():
        schema = option_schema(name)
        lines += [f"## `backend: {name}`\n", *fields(schema)]
        for definition, model in schema.get("$defs", {}).items():
            option = next(
                (one for one, field in schema["properties"].items() if definition in str(field)), ""
            )
            kinds = [
                f"{key}: {field['const']}" for key, field in model["properties"].items() if "const" in field
            ]
            heading = f"{option}: {{{kinds[0]}}}" if kinds else option
            lines += [f"### `{heading}` of {name}\n", f"{model.get('description', '')}\n", *fields(model)]
    return "\n".join(lines).rstrip() + "\n"


# The commands


def commands() -> str:
    """Every command with its arguments and options."""
    from confsync.cli.main import COMMANDS, cli

    context = click.Context(cli, info_name="confsync")
    common = _options(cli, context, without=frozenset())
    names = frozenset(name for name, _ in common)
    lines = [
        NOTE,
        "# Commands\n",
        "`confsync COMMAND --help` says the same.\n",
        "## Options of every command\n",
        "They may stand before or after the command's name.\n",
        *table(("option", "says"), common),
    ]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is None:
            raise SystemExit(f"docs/generate.py: there is no command {name}")
        usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=name, parent=context)))
        lines += [f"## confsync {name}\n", f"```text\nconfsync {name} {usage}\n```\n", f"{_help(command)}\n"]
        own = _options(command, click.Context(command, info_name=name, parent=context), without=names)
        lines += table(("option", "says"), own)
    return "\n".join(lines).rstrip() + "\n"


def _help(command: click.Command) -> str:
    """The command's text; what click is told not to wrap becomes a block of code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        "```text\n" + paragraph.removeprefix("\b\n") + "\n```" if paragraph.startswith("\b") else paragraph
        for paragraph in paragraphs
    )


def _options(
    command: click.Command, context: click.Context, without: frozenset[str]
) -> list[tuple[str, str]]:
    rows = []
    for parameter in command.get_params(context):
        if not isinstance(parameter, click.Option) or {"--help", "--version"} & set(parameter.opts):
            continue
        value = ""
        if not parameter.is_flag:
            choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else None
            value = " " + ("|".join(map(str, choices)) if choices else str(parameter.metavar or "VALUE"))
        name = f"`{', '.join(parameter.opts)}{value}`"
        if name not in without:
            rows.append((name, _with_default(parameter)))
    return rows


def _with_default(option: click.Option) -> str:
    shown = f"  [default: {option.default}]" if option.show_default else ""
    return (option.help or "") + shown


# The templates' tools


def filters() -> str:
    """Lookups, filters, tests and functions."""
    from confsync.render.addressed import AddressedLookup
    from confsync.render.filters import FILTERS, GLOBALS, IMPURE, TESTS
    from confsync.render.lookup import SourceLookup

    ours = {name: one for name, one in FILTERS.items() if not _is_jinjas(one)}
    lines = [
        NOTE,
        "# What templates have\n",
        "Besides [Jinja's own filters and tests](https://jinja.palletsprojects.com/en/stable/templates/#builtin-filters).",
        "`⏎` stands for a line break. [The guide](../templates.md) says how to use them.\n",
        "## Lookups in a source\n",
        "With a source that is called `etcd`:\n",
        *_lookups(SourceLookup, "etcd"),
        "With a source of secrets that is called `vault`; [more about it](../vault.md):\n",
        *_lookups(AddressedLookup, "vault"),
        "## Filters\n",
        *table(("filter", "gives"), [(f"`{name}`", _said(one)) for name, one in sorted(ours.items())]),
        "## Filters of Jinja that are bounded here\n",
        "They do what Jinja's do, within the render's limits.\n",
        *table(
            ("filter", "gives"),
            [(f"`{name}`", _said(one)) for name, one in sorted(FILTERS.items()) if name not in ours],
        ),
        "## Tests\n",
        *table(("test", "says"), [(f"`is {name}`", _said(one)) for name, one in sorted(TESTS.items())]),
        "## Functions\n",
        "Those marked * depend on more than their arguments: a sync that uses one is rendered anew at every",
        "interval.\n",
        *table(
            ("function", "gives"),
            [
                (f"`{name}`{' *' if name in IMPURE else ''}", _said(one))
                for name, one in sorted(GLOBALS.items())
            ],
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _lookups(kind_of: type, source: str) -> Iterator[str]:
    """The table of what a source is asked in a template."""
    methods = {
        name: function
        for name, function in vars(kind_of).items()
        if callable(function) and (not name.startswith("_") or name in ("__call__", "__contains__"))
        and name not in ("__init__", "missing")
    }  # fmt: skip
    rows = [(_call_of(source, name, function), _said(function)) for name, function in methods.items()]
    return table(("lookup", "gives"), rows)


def _is_jinjas(function: Callable[..., Any]) -> bool:
    from confsync.render.filters import guards

    return function in guards.FILTERS.values()


def _said(function: Callable[..., Any]) -> str:
    """A docstring on one line, as Markdown."""
    text = (inspect.getdoc(inspect.unwrap(function)) or "").partition("\n\nArgs:")[0]
    # An example is one piece of code; double backticks let it hold single ones.
    return re.sub(r"(?<!`)`(\{\{.*?)`(?!`)", lambda found: f"`` {found[1]} ``", " ".join(text.split()))


def _call_of(source: str, name: str, function: Callable[..., Any]) -> str:
    if name == "__contains__":
        return f'`"path" in {source}`'
    parameters = inspect.signature(function).parameters.values()
    named = [
        one for one in parameters if one.name != "self" and one.kind is not inspect.Parameter.VAR_POSITIONAL
    ]
    shown = ", ".join(map(_parameter, named))
    return f"`{source}({shown})`" if name == "__call__" else f"`{source}.{name}({shown})`"


def _parameter(one: inspect.Parameter) -> str:
    if one.kind is inspect.Parameter.VAR_KEYWORD:
        return "name=…"
    return f"{one.name}=…" if one.name == "default" else one.name


PAGES = {
    "configuration.md": configuration,
    "backends.md": backends,
    "commands.md": commands,
    "filters.md": filters,
}


def main(arguments: list[str]) -> None:
    """Write every page into the directory named, or docs/reference."""
    directory = Path(arguments[0]) if arguments else HERE / "reference"
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
