"""Where state lives when nobody says."""

from __future__ import annotations

from confsync.ledger.state_dir import default_state_dir


def test_a_configuration_that_is_a_link_keeps_its_state_directory_when_it_changes(tmp_path):
    # As kubelet does for the volume of a ConfigMap.
    for version in ("..one", "..two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "confsync.yaml").write_text("syncs: {}")
    (tmp_path / "..data").symlink_to("..one")
    config = tmp_path / "confsync.yaml"
    config.symlink_to("..data/confsync.yaml")
    before = default_state_dir(config)

    (tmp_path / "..data").unlink()
    (tmp_path / "..data").symlink_to("..two")
    assert default_state_dir(config) == before


def test_two_names_of_one_directory_have_one_state_directory(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "other").symlink_to("real")
    one, other = (default_state_dir(tmp_path / name / "confsync.yaml") for name in ("real", "other"))
    assert one == other
