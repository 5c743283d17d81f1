"""One environment's look at an addressed source: layers, fields, listings, and what can be said of what is missing."""

from __future__ import annotations

import threading

import pytest

from confsync.errors import Denied, Invalid, Unavailable
from confsync.snapshot import Absent
from confsync.testing.waiting import eventually


@pytest.fixture
def view(rig):
    """view(*prefixes, looking=False): what an environment with these prefixes sees."""
    return lambda *prefixes, looking=False: rig.source.view(prefixes or ("",), looking=looking)


def test_a_secret_or_a_field_as_value_and_as_bytes(rig, view):
    rig.store.put("prod/db", {"port": 5432, "user": "shop", "on": True, "hosts": ["b", "a"]})
    one = view("prod")

    assert one.look_up("db")[1] == {"port": 5432, "user": "shop", "on": True, "hosts": ["b", "a"]}
    assert one.look_up("db#port")[1] == 5432
    assert one.find("db#port").entry.value == b"5432"
    assert one.find("db#user").entry.value == b"shop"
    assert one.find("db#on").entry.value == b"true"
    assert one.find("db#hosts").entry.value == b'["b","a"]'
    assert (one.find("db").entry.revision, one.find("db").entry.modified) == (1, rig.clock.wall)
    assert rig.store.count("fetch") == 1


def test_the_bytes_of_a_secret_do_not_depend_on_the_order_of_its_fields(rig, view):
    rig.store.put("one", {"a": 1, "b": {"x": 1, "y": 2}})
    rig.store.put("two", {"b": {"y": 2, "x": 1}, "a": 1})

    assert view().find("one").entry.value == view().find("two").entry.value


def test_the_first_layer_that_has_the_secret_decides_also_about_its_fields(rig, view):
    rig.store.put("prod/db", {"user": "p"})
    rig.store.put("common/db", {"user": "c", "port": 1})
    rig.store.put("common/web", {"port": 2})
    one = view("prod", "common")

    assert one.look_up("db#user")[1] == "p"
    assert one.look_up("db#port") is None
    assert one.look_up("web#port")[1] == 2
    assert one.find("web").prefix == "common"
    assert one.shadowed("db") == ["common"]
    assert one.shadowed("web") == []
    assert one.shadowed("/prod/db") == []


def test_a_leading_slash_is_the_stores_root_whatever_the_prefix(rig, view):
    rig.store.put("other/db", {"a": "1"})
    one = view("prod", "common")

    assert one.look_up("/other/db#a")[1] == "1"
    assert one.find("/other/db").prefix == ""
    assert rig.store.count("fetch") == 1


@pytest.mark.parametrize("path", ["", "/", "db#", "a/../db", "//", "db?x"])
def test_what_is_no_path_is_refused_as_such(view, path):
    with pytest.raises(Invalid, match="is no path of a secret"):
        view().find(path)


def test_parameters_are_part_of_what_is_asked_for(rig, view):
    for value in "123":
        rig.store.put("db", {"a": value})

    assert view().look_up("db#a")[1] == "3"
    assert view().look_up("db?version=2#a")[1] == "2"
    assert view().look_up("db?metadata=#current_version")[1] == 3
    assert view().look_up("db?version=9") is None


def test_a_missing_field_names_the_nearest_and_asks_nothing(rig, view):
    rig.store.put("db", {"password": "1", "user": "2"})
    one = view()
    assert one.look_up("db#pasword") is None
    calls = len(rig.store.calls)

    absent = one.absent("db#pasword")
    assert absent == Absent("the secret has no field 'pasword'; did you mean 'password'?", None)
    assert len(rig.store.calls) == calls


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("app/databse", "app/database"),
        ("app/databse#user", "app/database#user"),
        ("app/databse?version=2#user", "app/database#user"),
        ("/prod/app/databse", "/prod/app/database"),
        ("ap/database", None),
        ("apq", "app"),
        ("/prot", "/prod"),
    ],
)
def test_a_missing_secret_names_the_nearest_beside_it(rig, view, asked, near):
    rig.store.put("prod/app/database", {"user": "x"})
    one = view("prod")
    assert one.look_up(asked) is None

    assert one.absent(asked).nearest == near


def test_a_secret_that_was_deleted_says_so_and_is_not_its_own_nearest(rig, view):
    rig.store.put("db", {"a": "1"})
    rig.store.delete("db")
    one = view()
    for asked in ("db", "db#a", "db?version=1"):
        assert one.look_up(asked) is None
        assert one.absent(asked) == Absent("version 1 was deleted", None)


def test_where_names_may_not_be_listed_nothing_is_said_of_them(rig, view):
    rig.store.put("app/database", {"user": "x"})
    rig.store.fail_with(Denied("no listing", key="app"), kind="names")
    one = view()
    assert one.look_up("app/databse") is None

    assert one.absent("app/databse") == Absent("there is no secret", None)


def test_listings_of_all_layers_are_one(rig, view):
    for path in ("prod/a", "prod/b/x", "common/a", "common/c", "common/d/y"):
        rig.store.put(path, {"k": "1"})
    one = view("prod", "common")

    assert one.under("") == ["a", "b/", "c", "d/"]
    assert one.children("") == ["a", "c"]
    assert one.directories("") == ["b", "d"]
    assert one.under("b") == one.under("b/") == ["x"]
    assert one.under("/common") == ["a", "c", "d/"]
    assert one.under("nothing") == []
    assert one.paths() == ["a", "b/x", "c", "d/y"]
    assert one.below("b") == ["b/x"]
    assert one.below("/common") == ["/common/a", "/common/c", "/common/d/y"]


def test_a_listed_name_with_the_signs_of_an_address_reads_that_secret(rig, view):
    rig.store.put("prod/north", {"pw": "field"})
    rig.store.put("prod/north#pw", {"pw": "other"})
    rig.store.put("prod/a?b=1/100%", {"pw": "deep"})
    one = view("prod")

    assert one.under("") == ["a%3Fb=1/", "north", "north%23pw"]
    assert one.children("") == ["north", "north%23pw"]
    assert one.directories("") == ["a%3Fb=1"]
    assert one.under("a%3Fb=1") == ["100%25"]
    assert one.paths() == ["a%3Fb=1/100%25", "north", "north%23pw"]
    assert [one.look_up(path)[1]["pw"] for path in one.paths()] == ["deep", "field", "other"]
    assert one.look_up("north%23pw#pw")[1] == "other"
    assert one.look_up("north%23p") is None
    assert one.absent("north%23p").nearest == "north%23pw"


def test_the_stores_root_is_listed_whatever_the_prefix(rig, view):
    rig.store.put("prod/db", {"a": "1"})
    rig.store.put("top", {"a": "1"})
    one = view("prod")

    assert one.under("/") == ["prod/", "top"]
    assert one.below("/") == ["/prod/db", "/top"]
    assert one.problem(["/"]) is None


@pytest.mark.parametrize("place", ["db#a", "db?version=2", "../other", "a/../../other"])
def test_what_is_no_place_is_not_listed(view, place):
    with pytest.raises(Invalid, match=r"is nothing to list|is no path of a secret"):
        view("prod").under(place)


def test_names_that_lead_nowhere_are_left_out_so_that_no_walk_goes_in_circles(rig, view, monkeypatch):
    rig.store.put("a", {"k": "1"})
    monkeypatch.setattr(rig.backend, "names", lambda _: ("", "..", "../", "./", "/", "a", "//"))

    assert view().under("") == ["a"]
    assert view().paths() == ["a"]


def test_a_walk_through_too_much_is_refused(rig, view, monkeypatch):
    monkeypatch.setattr(rig.backend, "names", lambda _: tuple(f"{n}/" for n in range(5)))

    with pytest.raises(Invalid, match="more than 10000 secrets below the root"):
        view().paths()


def test_while_looking_what_would_be_made_has_a_placeholder(rig, view):
    rig.store.lends("db/creds/app", duration=60)
    one = view(looking=True)

    for asked in ("db/creds/app", "db/creds/app#password"):
        found, _ = one.look_up(asked)
        assert (found.fetched, found.entry.value) == (False, b"(fetched by apply)")
    assert rig.store.lent == []


def test_the_trouble_of_a_path_is_told_by_those_who_read_it_only(rig, view):
    rig.store.put("prod/db", {"a": "1"})
    rig.store.put("common/db", {"a": "2"})
    reader, other = view("prod", "common"), view("common")
    reader.look_up("db")
    other.look_up("db")
    rig.store.fail_with(Unavailable("its mount is out of order", key="common/db"), "common/db")
    rig.resync("db")

    assert reader.problem(["db"]) is None  # its layer is well
    assert "out of order" in other.problem(["db"]).text
    assert view("common").problem(["db"]) is None  # it has not read it


def test_the_trouble_of_a_listing_is_told_that_of_the_root_too(rig, view):
    rig.store.put("prod/app/db", {"a": "1"})
    one = view("prod")
    one.under("app")
    one.under("")
    assert one.problem(["", "app"]) is None
    rig.store.fail_with(Denied("no listing", key="prod"), kind="names")
    rig.resync("app")
    assert "no listing" in one.problem(["app"]).text
    assert one.problem([""]) is None
    rig.resync("")
    assert "no listing" in one.problem([""]).text


def test_what_was_decrypted_for_a_render_is_its_own(rig, view, monkeypatch):
    monkeypatch.setattr("confsync.source.addressed._MOST_PLAINTEXTS", 2)
    texts = [rig.store.encrypt("k", str(number).encode()) for number in range(5)]
    one = view()
    one.decrypt("k", texts)

    # Others may have pushed it out of what all remember.
    assert [one.decrypted("k", text) for text in texts] == [b"0", b"1", b"2", b"3", b"4"]
    assert view().decrypted("k", texts[0]) is None


def test_what_is_read_ahead_is_read_at_the_same_time_and_once(rig, view):
    for name in "abcdef":
        rig.store.put(f"prod/{name}", {"it": name})
    one = view("prod")

    with rig.store.holding("prod/a") as held:
        ahead = threading.Thread(target=one.read_ahead, args=("abcdef",))
        ahead.start()
        eventually(lambda: all(rig.store.count("fetch", f"prod/{name}") for name in "bcdef"))
        assert ahead.is_alive()
        held.release()
        ahead.join(30)

    assert [one.look_up(f"{name}#it")[1] for name in "abcdef"] == [*"abcdef"]
    assert rig.store.count("fetch") == 6


def test_reading_ahead_asks_no_later_layer_than_looking_up_would(rig, view):
    rig.store.put("prod/db", {"a": 1})
    rig.store.put("common/db", {"a": 2})
    rig.store.put("common/web", {"a": 3})

    view("prod", "common").read_ahead(["db", "web", "/common/web"])

    asked = sorted(call.path for call in rig.store.calls if call.kind == "fetch")
    assert asked == ["common/web", "prod/db", "prod/web"]


def test_what_was_refused_ahead_is_told_by_the_look_up_without_asking_again(rig, view):
    rig.store.put("prod/open", {"a": 1})
    rig.store.deny("prod/shut")
    one = view("prod")

    one.read_ahead(["open", "shut", "no such path#"])
    asked = len(rig.store.calls)

    with pytest.raises(Denied):
        one.look_up("shut")
    assert one.look_up("open#a")[1] == 1
    assert len(rig.store.calls) == asked


def test_reading_ahead_makes_nothing_where_one_only_looks(rig, view):
    rig.store.lends("creds/app", duration=60)
    rig.store.put("prod/db", {"a": 1})

    view("", looking=True).read_ahead(["creds/app", "prod/db"])

    assert not rig.store.lent
    assert rig.store.count("fetch") == 1
