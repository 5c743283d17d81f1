"""What is the environment's own: how names become keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from confsync.errors import Invalid
from confsync_backends.env import EnvBackend, EnvOptions


@pytest.fixture
def environment(monkeypatch):
    """Set variables for one test."""

    def set_all(**variables):
        for name, value in variables.items():
            monkeypatch.setitem(os.environb, name.encode(), value.encode())

    return set_all


def read(subtree="", **options):
    backend = EnvBackend.open(EnvOptions(**options), Path("."))
    return {path: entry.value for path, entry in backend.read([subtree]).trees[subtree].items()}


def test_the_prefix_is_stripped_and_each_underscore_is_a_slash(environment):
    environment(SHOP_DATABASE_HOST="db1", SHOPPING="no", SHOP_PORT="80")
    assert read(prefix="SHOP_") == {"database/host": b"db1", "port": b"80"}


def test_with_two_underscores_as_separator_single_ones_stay(environment):
    environment(SHOP_DATABASE__MAX_CONNECTIONS="9")
    assert read(prefix="SHOP_", separator="__") == {"database/max_connections": b"9"}


def test_a_configured_prefix_selects_a_subtree(environment):
    environment(SHOP_PROD_DB_HOST="a", SHOP_DEV_DB_HOST="b")
    assert read("/prod", prefix="SHOP_") == {"db/host": b"a"}


def test_values_need_not_be_text(monkeypatch):
    monkeypatch.setitem(os.environb, b"SHOP_KEY", b"\xff\xfe")
    assert read(prefix="SHOP_") == {"key": b"\xff\xfe"}


def test_two_variables_with_one_key_are_invalid_and_both_are_named(environment):
    environment(SHOP_DB_HOST="sesame1", SHOP_DB_Host="sesame2")
    backend = EnvBackend.open(EnvOptions(prefix="SHOP_"), Path("."))
    with pytest.raises(Invalid, match=r"SHOP_DB_HOST and SHOP_DB_Host both mean the key 'db/host'") as caught:
        backend.read([""])
    assert "sesame" not in str(caught.value)


def test_a_clash_elsewhere_does_not_matter(environment):
    environment(SHOP_A_X="1", SHOP_A_x="2", SHOP_B="3")
    backend = EnvBackend.open(EnvOptions(prefix="SHOP_"), Path("."))
    assert backend.read(["/b", "c"]).trees == {"/b": {}, "c": {}}


def test_a_name_that_is_nothing_but_the_prefix_has_no_key(environment):
    environment(SHOP_="x", SHOP___="y")
    assert read(prefix="SHOP_") == {}


def test_revisions_are_zero_and_times_unknown(environment):
    environment(SHOP_A="1")
    reading = EnvBackend.open(EnvOptions(prefix="SHOP_"), Path(".")).read([""])
    assert (reading.revision, reading.trees[""]["a"].revision, reading.trees[""]["a"].modified) == (
        0,
        0,
        None,
    )


def test_it_cannot_be_watched():
    assert EnvBackend.watches is False


def test_an_empty_separator_is_refused():
    with pytest.raises(ValidationError, match="separator"):
        EnvOptions(separator="")
