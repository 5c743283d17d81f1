"""What cannot be read is never taken for empty: what it configured would be deleted."""

from __future__ import annotations

import pytest

from confsync.config.loading import find_config, load_config
from confsync.errors import ConfigError


def test_a_conf_d_that_is_no_directory_is_an_error(tmp_path):
    (tmp_path / "confsync.yaml").write_text("syncs: {}\n")
    (tmp_path / "conf.d").write_text("not a directory")

    with pytest.raises(ConfigError, match=r"conf\.d: cannot be read: Not a directory"):
        load_config(tmp_path / "confsync.yaml")


def test_files_in_conf_d_may_end_either_way(tmp_path):
    (tmp_path / "confsync.yaml").write_text("syncs: {}\n")
    (tmp_path / "conf.d").mkdir()
    for name in ("a.yaml", "b.yml"):
        (tmp_path / "conf.d" / name).write_text(f"syncs: {{{name[0]}: {{template: t, to: /{name}}}}}\n")

    assert sorted(load_config(tmp_path / "confsync.yaml").config.syncs) == ["a", "b"]


def test_a_configuration_that_cannot_be_reached_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError):
        find_config(str(tmp_path / "file" / "confsync.yaml"))


def test_a_placeholder_that_does_not_exist_is_an_error(tmp_path):
    (tmp_path / "confsync.yaml").write_text(
        "syncs: {a: {template: t, to: /a, check: [test, -n, '{stagd}']}}\n"
    )

    with pytest.raises(
        ConfigError, match=r"there is no placeholder \{stagd\}; there is \{staged\} and \{path\}"
    ):
        load_config(tmp_path / "confsync.yaml")
