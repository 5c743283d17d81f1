"""Leases as one encrypted text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.driver import Address, Lease, Secret
from confsync.errors import LedgerError
from confsync.source.keeping import Keeper
from confsync.source.lease_clock import LeaseClock

KEY = b"k" * 32


class Drawer:
    """Where the text is kept."""

    def __init__(self, key=KEY):
        self.text = None
        self.keeper = Keeper(lambda: self.text, self._save, key)

    def _save(self, text):
        self.text = text


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
parameters = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2).map(
    lambda given: tuple(sorted(given.items()))
)


@given(
    st.text(min_size=1, max_size=9),
    parameters,
    st.dictionaries(st.text(max_size=4), json_values, max_size=3),
    st.one_of(st.none(), st.binary(max_size=20)),
    st.booleans(),
    st.booleans(),
)
def test_what_was_kept_comes_back(path, parameters, data, session, renewable, bound):
    drawer = Drawer()
    address, lease = Address(path, parameters), Lease("an id", 60.0, renewable)
    secret = Secret(data, created=5.0, lease=lease, session=3 if bound else 0)
    clock = LeaseClock.of(lease, 0.0)
    drawer.keeper.save(session, [(address, secret, clock, 1060.0)])
    kept = drawer.keeper.load()

    assert kept.session == session
    (one,) = kept.leases
    assert (one.address, one.lease, one.granted, one.ends) == (address, lease, 60.0, 1060.0)
    assert one.secret(8) == Secret(data, created=5.0, lease=lease, session=8 if bound else 0)


def test_nothing_on_lease_is_nothing_kept():
    drawer = Drawer()
    drawer.keeper.save(b"token", [])

    assert drawer.text is None
    assert drawer.keeper.load() is None


def test_the_text_and_the_representations_show_nothing():
    drawer = Drawer()
    lease = Lease("an id", 60.0)
    secret = Secret({"password": "hunter2"}, lease=lease)
    drawer.keeper.save(
        b"hunter3", [(Address("db/creds", (("pin", "hunter4"),)), secret, LeaseClock.of(lease, 0.0), 1060.0)]
    )

    assert "hunter" not in drawer.text
    shown = repr(drawer.keeper.load())
    assert "hunter2" not in shown
    assert "hunter3" not in shown


def test_the_same_leases_are_another_text_every_time():
    drawer = Drawer()
    lease = Lease("an id", 60.0)
    texts = set()
    for _ in range(3):
        drawer.keeper.save(None, [(Address("x"), Secret({}, lease=lease), LeaseClock.of(lease, 0.0), 1060.0)])
        texts.add(drawer.text)
    assert len(texts) == 3


def test_another_key_opens_nothing(caplog):
    drawer, other = Drawer(), Drawer(b"o" * 32)
    lease = Lease("an id", 60.0)
    drawer.keeper.save(None, [(Address("x"), Secret({}, lease=lease), LeaseClock.of(lease, 0.0), 1060.0)])
    other.text = drawer.text

    assert other.keeper.load() is None
    assert "fetched anew" in caplog.text


@pytest.mark.parametrize("text", ["", "garbage", "☃" * 200, "gAAAAA==", "\x00"])
def test_garbage_opens_nothing(text):
    drawer = Drawer()
    drawer.text = text
    assert drawer.keeper.load() is None


@pytest.mark.parametrize(
    "plain", [b"", b"[]", b"{}", b'{"session": 7, "leases": []}', b'{"leases": [1]}', b"\xff"]
)
def test_what_another_version_kept_opens_nothing(plain):
    drawer = Drawer()
    drawer.text = drawer.keeper._cipher().encrypt(plain).decode()
    assert drawer.keeper.load() is None


def test_a_ledger_that_fails_is_survived(caplog):
    def fail(*_):
        raise LedgerError("the disk is full")

    keeper = Keeper(fail, fail, KEY)
    keeper.save(None, [])
    assert keeper.load() is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_what_was_kept_for_another_store_or_login_is_not_believed():
    drawer = Drawer()
    mine = Keeper(lambda: drawer.text, drawer._save, KEY, "http://one/ {auth: token}")
    other = Keeper(lambda: drawer.text, drawer._save, KEY, "http://two/ {auth: token}")
    lease = Lease("l", 60.0, renewable=True)
    secret = Secret({"user": "u"}, lease=lease, session=1)
    mine.save(b"s", [(Address("db/creds/app"), secret, LeaseClock.of(lease, 0.0), 1e10)])
    assert mine.load() is not None
    assert other.load() is None
