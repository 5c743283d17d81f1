"""Configuration and templates that are swapped the way a mounted ConfigMap is: by one link, `..data`."""

from __future__ import annotations

import pytest
import yaml


def publish(directory, version, files):
    """Make `files` the content of `directory`, all at once."""
    new = directory / f"..{version}"
    new.mkdir()
    for name, text in files.items():
        (new / name).write_text(text)
    link = directory / "..data_tmp"
    link.symlink_to(new.name)
    link.rename(directory / "..data")
    for name in files:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")


def config(template):
    return yaml.safe_dump({
        "sources": {"values": {"backend": "file", "path": "values.yaml", "sensitive": False}},
        "syncs": {"a": {"template": template, "to": "out/a"}},
        "defaults": {"interval": "1h"},
    })  # fmt: skip


def test_a_swapped_configuration_is_taken_up(workspace):
    workspace.values({"host": "db1"})
    publish(workspace.root, "v1", {"confsync.yaml": config({"inline": "one"})})
    with workspace.daemon():
        workspace.wait_content("a", "one")
        publish(workspace.root, "v2", {"confsync.yaml": config({"inline": "two"})})
        workspace.wait_content("a", "two")


@pytest.mark.parametrize("below", ["", "sub"])
def test_swapped_templates_are_rendered(workspace, below):
    workspace.values({"host": "db1"})
    directory = workspace.templates / below
    directory.mkdir(exist_ok=True)
    name = f"{below}/app.j2".lstrip("/")
    publish(directory, "v1", {"app.j2": "one {{ values('host') }}"})
    workspace.replace(workspace.file, config(name))
    with workspace.daemon():
        workspace.wait_content("a", "one db1")
        publish(directory, "v2", {"app.j2": "two {{ values('host') }}"})
        workspace.wait_content("a", "two db1")


def test_a_missed_change_of_the_configuration_is_found_at_the_next_interval(workspace, tmp_path_factory):
    # The file is a link to one elsewhere, where nobody watches.
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "confsync.yaml"
    workspace.values({"host": "db1"})
    text = config({"inline": "one"}).replace("1h", "300ms")
    elsewhere.write_text(text)
    workspace.file.symlink_to(elsewhere)
    with workspace.daemon():
        workspace.wait_content("a", "one")
        elsewhere.write_text(text.replace("one", "two"))
        workspace.wait_content("a", "two")
