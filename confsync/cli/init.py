"""`confsync init`: a configuration that works at once, small or from a stock template."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from confsync.cli.options import given, global_options

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_CONFIG = """\
# confsync: values.yaml -> templates/app.conf.j2 -> app.conf
sources:
  values: {backend: file, path: values.yaml}
  # etcd: {backend: etcd, endpoints: ["http://127.0.0.1:2379"]}
environments:
  dev: {values: dev}
  prod: {values: prod}
defaults: {environment: dev, interval: 60s}
syncs:
  app:
    template: app.conf.j2
    to: {file: {path: app.conf, mode: "0644"}}
    # reload: [systemctl, reload, app]
"""
_TEMPLATE = """\
# written by confsync from templates/app.conf.j2; change values.yaml instead
listen = {{ values("app/port", default="8080") }}
database = {{ values("db/host") }}
{% for name, address in values.children("upstream") %}
upstream {{ name }} = {{ address }}
{% endfor %}
"""
_VALUES = """\
dev:
  app: {port: 8080}
  db: {host: localhost}
  upstream: {one: 127.0.0.1:9001}
prod:
  app: {port: 80}
  db: {host: db.example.com}
  upstream: {one: 10.0.0.1:9000, two: 10.0.0.2:9000}
"""
_SMALL = {"confsync.yaml": _CONFIG, "templates/app.conf.j2": _TEMPLATE, "values.yaml": _VALUES}

_STARTED_WITH = "confsync.yaml"
"""What a folder of the stock library has if one can start from it; its first line says what it is."""
_VALUES_FILE = "values.yaml"
"""The example values; there will be secrets among them."""
_TEMPLATE_ENDING = ".j2"


def _complete_templates(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _stock() if name.startswith(incomplete)]


@click.command(short_help="Write a configuration that works, to start from.")
@click.argument("directory", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--template",
    metavar="NAME",
    shell_complete=_complete_templates,
    help="Start from a stock template, such as nginx.",
)
@click.option("--list-templates", is_flag=True, help="List the stock templates, and write nothing.")
@global_options
@click.pass_context
def init(context: click.Context, *, directory: Path, template: str | None, list_templates: bool) -> int:
    """Write a configuration that works at once, with the file source, into DIRECTORY.

    With --template it is that of a program: a template, which is yours to change, the keys it reads with what they
    mean, and example values for dev and prod.

    Nothing that exists is overwritten.
    """
    options = given(context)
    if list_templates:
        _list(as_json=options.as_json)
        return 0
    if template is None:
        _write(directory, _SMALL)
        _what_next(directory, "confsync plan; confsync apply; confsync run")
        return 0
    _write(directory, _files_of(_chosen(template)), private={_VALUES_FILE})
    _what_next(directory, "confsync plan; confsync apply; confsync diff dev prod")
    return 0


def _what_next(directory: Path, commands: str) -> None:
    go = f"cd {shlex.quote(str(directory))} && " if str(directory) != "." else ""
    click.echo(f"try: {go}{commands}", err=True)


def _write(directory: Path, files: Mapping[str, str], private: Collection[str] = ()) -> None:
    """Write the files.

    Args:
        private: those that are for their owner alone.

    Raises:
        ConfsyncError: one exists already, and nothing was written; or one cannot be written.
    """
    from confsync.errors import ConfsyncError

    existing = [name for name in files if os.path.lexists(directory / name)]
    if existing:
        raise ConfsyncError(
            f"{directory / existing[0]} exists already; nothing was written", hint="name another directory"
        )
    for name, text in files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _create(path, text, 0o600 if name in private else 0o666)
        except OSError as exc:
            raise ConfsyncError(f"{path} cannot be written: {exc.strerror}") from exc
        click.echo(f"wrote {path}")


def _create(path: Path, text: str, mode: int) -> None:
    """A new file, where there is nothing yet, not even a link."""
    with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)


def _list(*, as_json: bool) -> None:
    from confsync.cli.printing import print_json

    found = {name: _about(folder) for name, folder in _stock().items()}
    if as_json:
        print_json({"templates": [{"name": name, "about": about} for name, about in found.items()]})
        return
    width = max(map(len, found))
    for name, about in found.items():
        click.echo(f"{name:{width}}  {about}")


def _chosen(name: str) -> Traversable:
    """The folder of the stock template `name`.

    Raises:
        click.BadParameter: there is none; says the nearest, and all there are.
    """
    from confsync.text import nearest, printable

    stock = _stock()
    if name in stock:
        return stock[name]
    names = {name: name for name in stock}
    names |= {file.removesuffix(_TEMPLATE_ENDING): one for one in stock for file in _templates_in(stock[one])}
    near = nearest(name, names)
    meant = f"did you mean {names[near]!r}? " if near else ""
    raise click.BadParameter(
        f"there is no template {printable(name)!r}; {meant}there is {', '.join(stock)}",
        param_hint="'--template'",
    )


def _stock() -> dict[str, Traversable]:
    """Name -> folder of each stock template, sorted."""
    from importlib.resources import files

    folders = [folder for folder in files("confsync_templates").iterdir() if folder.is_dir()]
    startable = [folder for folder in folders if folder.joinpath(_STARTED_WITH).is_file()]
    return {folder.name: folder for folder in sorted(startable, key=lambda folder: folder.name)}


def _about(folder: Traversable) -> str:
    first, _, _ = folder.joinpath(_STARTED_WITH).read_text("utf-8").partition("\n")
    return first.removeprefix("# ")


def _files_of(folder: Traversable) -> dict[str, str]:
    """What is written for a stock template: its name below the directory -> its text."""
    found = {name: folder.joinpath(name).read_text("utf-8") for name in (_STARTED_WITH, _VALUES_FILE)}
    # By the name the library has it under: the copy goes before the stock one, which is back when the copy goes.
    found |= {
        f"templates/{folder.name}/{name}": folder.joinpath(name).read_text("utf-8")
        for name in _templates_in(folder)
    }
    return found


def _templates_in(folder: Traversable) -> Iterator[str]:
    return iter(sorted(one.name for one in folder.iterdir() if one.name.endswith(_TEMPLATE_ENDING)))
