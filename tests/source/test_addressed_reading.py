"""What is asked of an addressed store, how often, and what readers get while it fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from confsync.driver import Address
from confsync.errors import Denied, Unavailable
from confsync.testing.waiting import eventually


def test_a_thousand_readers_of_fifty_paths_ask_fifty_times_and_log_in_once(rig):
    for number in range(50):
        rig.store.put(f"s/{number}", {"n": number})

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: rig.read(f"s/{number % 50}"), range(1000)))

    assert found == [{"n": number % 50} for number in range(1000)]
    assert rig.store.count("fetch") == 50
    assert len(rig.store.calls) == 50 + 1
    assert rig.store.logins == 1


def test_while_one_asks_the_others_wait_for_the_answer(rig):
    rig.store.put("s", {"a": "1"})
    with ThreadPoolExecutor(8) as pool:
        with rig.store.holding("s") as held:
            reading = [pool.submit(rig.read, "s") for _ in range(8)]
            assert held.arrived.wait(30)
        found = [one.result(30) for one in reading]

    assert found == [{"a": "1"}] * 8
    assert held.waiting == 1


def test_a_path_that_hangs_holds_only_those_who_read_it(rig):
    rig.store.put("slow", {"a": "1"})
    rig.store.put("quick", {"a": "2"})
    with ThreadPoolExecutor(1) as pool, rig.store.holding("slow") as held:
        reading = pool.submit(rig.read, "slow")
        assert held.arrived.wait(30)
        assert rig.read("quick") == {"a": "2"}
        held.release()
        assert reading.result(30) == {"a": "1"}


def test_what_is_not_there_is_remembered_too(rig):
    assert rig.read("nothing") is None
    assert rig.read("nothing") is None
    assert rig.store.count("fetch") == 1


def test_a_read_that_fails_is_not_asked_again_at_once(rig):
    rig.store.fail_with(Unavailable("it is down"))
    for _ in range(100):
        with pytest.raises(Unavailable, match="it is down"):
            rig.read("s")

    assert len(rig.store.calls) == 1
    assert rig.source.describe() == "in trouble (0 secrets, 0 leases): it is down"


def test_while_the_store_is_down_nobody_else_asks_and_whoever_comes_first_later_tries(rig):
    rig.store.fail_with(Unavailable("it is down"))
    with ThreadPoolExecutor(8) as pool:
        failed = list(pool.map(lambda number: _failure(rig, f"s/{number % 50}"), range(200)))
    asked = len(rig.store.calls)
    assert {type(one) for one in failed} == {Unavailable}
    assert asked <= 8  # those that were under way when the first came back

    rig.clock.advance(1)
    for number in range(50):
        _failure(rig, f"t/{number}")
    assert len(rig.store.calls) == asked + 1


def test_who_tries_a_store_that_was_down_does_so_alone_and_what_he_finds_is_for_all(rig):
    for name in ("probe", "s/1", "s/2"):
        rig.store.put(name, {"a": "1"})
    rig.store.fail_with(Unavailable("it is down"))
    for name in ("s/1", "s/2"):
        _failure(rig, name)
    rig.store.mend()
    rig.clock.advance(1)
    with ThreadPoolExecutor(1) as pool, rig.store.holding("probe") as held:
        probing = pool.submit(rig.read, "probe")
        assert held.arrived.wait(30)
        _failure(rig, "s/1")
        rig.source.attend()
        assert rig.store.count("fetch") == 1
        held.release()
        probing.result(30)
    rig.source.attend()

    assert rig.told() == ["s/1", "s/2"]
    assert rig.store.count("fetch") == 3


def test_the_error_that_others_get_is_their_own(rig):
    rig.store.fail_with(Unavailable("it is down"))
    one, two = _failure(rig, "s/1"), _failure(rig, "s/2")

    assert str(one) == str(two) == "it is down"
    assert one is not two  # what is raised again and again gathers tracebacks


def test_a_path_that_is_out_of_order_does_not_make_the_store_be_down(rig):
    rig.store.put("good", {"a": "1"})
    rig.store.fail_with(Unavailable("its database is down", key="bad"), "bad")

    assert isinstance(_failure(rig, "bad"), Unavailable)
    assert rig.read("good") == {"a": "1"}


def test_a_denied_path_fails_only_those_who_read_it(rig):
    rig.store.put("good", {"a": "1"})
    rig.store.deny("bad")

    for _ in range(10):
        assert isinstance(_failure(rig, "bad"), Denied)
        assert rig.read("good") == {"a": "1"}
    assert rig.store.count("fetch", "bad") == 1
    assert rig.source.problem([Address("good")]) is None
    assert "permission denied on bad" in rig.source.problem([Address("bad")]).text


def test_a_path_that_is_allowed_again_is_read_and_told_once(rig):
    rig.store.put("s", {"a": "1"})
    rig.store.deny("s")
    _failure(rig, "s")
    rig.store.allow("s")
    rig.pass_time(1)

    assert rig.told() == ["s"]
    assert rig.read("s") == {"a": "1"}
    assert rig.source.problem([Address("s")]) is None


def test_when_the_store_answers_again_everything_is_read_at_once(rig):
    for number in range(20):
        rig.store.put(f"s/{number}", {"n": number})
    rig.store.fail_with(Unavailable("it is down"))
    for number in range(20):
        _failure(rig, f"s/{number}")
    rig.pass_time(120, step=1)
    asked = len(rig.store.calls)
    assert asked < 40  # the pauses double: two minutes of it are a dozen tries, of one path each

    rig.store.fail_with(None)
    rig.pass_time(40, step=0.5)
    assert rig.told() == sorted(f"s/{number}" for number in range(20))
    assert len(rig.store.calls) <= asked + 1 + 20


def test_when_the_store_answers_again_all_that_is_unchanged_is_found_so_at_once(rig):
    names = [f"s/{number}" for number in range(20)]
    for name in names:
        rig.store.put(name, {"a": "1"})
        rig.read(name)
    rig.store.fail_with(Unavailable("it is down"))
    rig.resync(*names)
    rig.pass_time(120, step=1)
    rig.store.fail_with(None)
    rig.told()
    before = rig.store.count("changed")
    while not rig.events:
        rig.pass_time(0.5, step=0.5)

    rig.source.attend()
    assert rig.told() == sorted(names)
    assert rig.store.count("changed") == before + 20
    assert rig.store.count("fetch") == 20
    assert rig.source.problem([Address(name) for name in names]) is None


def test_a_refusal_shows_that_the_store_answers(rig):
    rig.store.put("good", {"a": "1"})
    rig.store.fail_with(Unavailable("it is down"))
    _failure(rig, "bad")
    rig.store.fail_with(None)
    rig.store.deny("bad")
    rig.clock.advance(1)

    assert isinstance(_failure(rig, "bad"), Denied)
    assert rig.read("good") == {"a": "1"}


def test_the_last_good_value_stays_while_the_store_is_down_and_says_since_when(rig, caplog):
    caplog.set_level("INFO")
    rig.store.put("db", {"a": "1"})
    rig.read("db")
    rig.store.fail_with(Unavailable("it is down"))
    down_at = rig.clock.now()
    rig.resync("db")
    assert rig.told() == ["db"]  # once when that begins
    rig.pass_time(300, step=1)
    rig.resync("db")

    assert rig.read("db") == {"a": "1"}
    assert rig.source.problem([Address("db")]) == ("db: it is down", down_at, False)
    assert rig.told() == []
    assert [record.getMessage() for record in caplog.records] == ["source cannot be read"]

    rig.store.fail_with(None)
    rig.pass_time(40, step=1)
    assert rig.told() == ["db"]  # and once when it ends
    assert rig.source.problem([Address("db")]) is None


def test_a_store_that_says_it_is_busy_is_asked_again_before_a_read_fails(live, monkeypatch):
    monkeypatch.setattr("confsync.source.asking._PATIENCE_FOLLOWED", 60.0)
    live.store.put("s", {"a": "1"})
    live.store.fail_with(Unavailable("busy", retry_after=0.01), kind="fetch")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(live.read, "s")
        eventually(lambda: live.store.count("fetch") >= 2)
        live.store.fail_with(None, kind="fetch")
        assert reading.result(30) == {"a": "1"}
    assert live.told() == []


def test_in_a_daemon_a_read_is_given_up_soon_for_it_is_repeated_anyway(live, monkeypatch):
    monkeypatch.setattr("confsync.source.asking._PATIENCE_FOLLOWED", 0.05)
    live.store.fail_with(Unavailable("busy", retry_after=0.1))
    assert isinstance(_failure(live, "s"), Unavailable)
    assert len(live.store.calls) == 1


def test_how_long_to_wait_is_what_the_store_says(rig):
    rig.store.put("s", {"a": "1"})
    rig.store.fail_with(Unavailable("too many requests", retry_after=20.0))
    _failure(rig, "s")
    rig.store.fail_with(None)
    rig.clock.advance(19)
    _failure(rig, "s")
    assert rig.store.count("fetch") == 0
    rig.clock.advance(2)

    assert rig.read("s") == {"a": "1"}


def test_nothing_is_asked_once_the_source_is_closed(rig):
    rig.source.close()
    with pytest.raises(Unavailable, match="ending"):
        rig.read("s")
    assert rig.store.calls == []


def test_a_reader_that_waits_for_a_busy_store_is_let_go_at_the_end(live):
    live.store.fail_with(Unavailable("busy", retry_after=1.5))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_failure, live, "s")
        eventually(lambda: live.store.calls)
        live.source.close()
        assert isinstance(reading.result(30), Unavailable)


def test_looking_fetches_nothing_that_fetching_makes(rig):
    rig.store.lends("db/creds/app", duration=60)
    rig.store.certifies("pki/issue/web", duration=60)
    rig.store.put("s", {"a": "1"})

    assert rig.read("db/creds/app", looking=True) is None
    assert rig.read("pki/issue/web", ("common_name", "a.test"), looking=True) is None
    assert rig.read("s", looking=True) == {"a": "1"}
    rig.resync("db/creds/app", "pki/issue/web?common_name=a.test")
    rig.pass_time(100, step=5)
    assert rig.store.lent == []


def test_looking_shows_what_is_lent_out_already(rig):
    rig.store.lends("db/creds/app", duration=60)
    fetched = rig.read("db/creds/app")

    assert rig.read("db/creds/app", looking=True) == fetched
    assert len(rig.store.lent) == 1


def test_a_source_that_only_looks_does_so_for_whoever_reads(addressed):
    rig = addressed(looking=True)
    rig.store.lends("db/creds/app", duration=60)

    assert rig.read("db/creds/app") is None
    assert rig.store.lent == []


def test_a_decryption_is_asked_for_once_and_remembered(rig):
    texts = [rig.store.encrypt("k", f"plain {number}".encode()) for number in range(100)]
    plain = [f"plain {number}".encode() for number in range(100)]

    assert rig.source.decrypt("k", texts) == plain
    assert rig.source.decrypt("k", texts[::-1]) == plain[::-1]
    assert rig.source.decrypt("k", [texts[7], texts[7]]) == [plain[7], plain[7]]
    assert rig.store.count("decrypt") == 1


def test_what_cannot_be_decrypted_is_asked_for_again_next_time(rig):
    good = rig.store.encrypt("k", b"x")
    for _ in range(2):
        one, two = rig.source.decrypt("k", ["garbage", good])
        assert "no ciphertext" in str(one)
        assert two == b"x"
    assert rig.store.count("decrypt") == 2


def test_what_is_forgotten_of_plaintexts_is_decrypted_again(rig, monkeypatch):
    monkeypatch.setattr("confsync.source.addressed._MOST_PLAINTEXTS", 3)
    texts = [rig.store.encrypt("k", str(number).encode()) for number in range(10)]
    for size in (2, 3, 10, 4, 1):
        assert rig.source.decrypt("k", texts[:size]) == [str(number).encode() for number in range(size)]


def test_decryption_of_many_threads_with_little_to_remember(rig, monkeypatch):
    monkeypatch.setattr("confsync.source.addressed._MOST_PLAINTEXTS", 2)
    texts = [rig.store.encrypt("k", str(number).encode()) for number in range(5)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: rig.source.decrypt("k", texts), range(200)))
    assert found == [[b"0", b"1", b"2", b"3", b"4"]] * 200


def test_decryption_does_not_storm_a_store_that_is_down(rig):
    rig.store.fail_with(Unavailable("it is down"))
    for _ in range(50):
        with pytest.raises(Unavailable, match="it is down"):
            rig.source.decrypt("k", ["x"])
    assert len(rig.store.calls) == 1


def _failure(rig, path):
    with pytest.raises((Unavailable, Denied)) as failed:
        rig.read(path)
    return failed.value


def test_the_thread_that_follows_ends_with_the_source(addressed):
    before = threading.active_count()
    rig = addressed()
    rig.follow()
    rig.close()
    assert threading.active_count() == before


# What concerns one path, and what the store.


def test_a_path_that_is_limited_leaves_the_others_alone(rig):
    rig.store.put("good", {"a": "1"})
    rig.store.lends("db/creds/app", duration=60)
    lent = rig.read("db/creds/app")["username"]
    rig.store.fail_with(Unavailable("too many requests", retry_after=3600.0), "limited")
    _failure(rig, "limited")

    assert rig.read("good") == {"a": "1"}
    rig.pass_time(300, step=1)
    assert rig.store.is_alive(lent)


def test_no_store_has_us_wait_for_more_than_a_minute(rig):
    rig.store.put("s", {"a": "1"})
    rig.store.fail_with(Unavailable("too many requests", retry_after=3600.0), "s")
    _failure(rig, "s")
    rig.store.mend()
    rig.pass_time(61, step=1)

    assert rig.told() == ["s"]


def test_a_path_that_hangs_until_it_fails_while_others_are_answered_does_not_make_the_store_be_down(rig):
    rig.store.put("good", {"a": "1"})
    rig.store.fail_with(Unavailable("no answer in time"), "slow")
    with ThreadPoolExecutor(1) as pool, rig.store.holding("slow") as held:
        reading = pool.submit(_failure, rig, "slow")
        assert held.arrived.wait(30)
        rig.read("good")
        held.release()
        reading.result(30)
    rig.store.put("other", {"a": "2"})

    assert rig.read("other") == {"a": "2"}


def test_a_lease_is_renewed_while_the_store_is_believed_down(rig):
    rig.store.lends("db/creds/app", duration=60)
    rig.read("db/creds/app")
    rig.store.fail_with(Unavailable("no answer in time"), "slow")
    rig.clock.advance(45)
    _failure(rig, "slow")
    rig.source.attend()

    assert rig.store.count("renew") == 1


def test_a_store_that_has_not_answered_yet_holds_two_readers_and_tells_the_others(live):
    names = [f"s/{number}" for number in range(8)]
    for name in names:
        live.store.put(name, {"a": name})
    eventually(lambda: live.source._asking.followed)
    with ThreadPoolExecutor(8) as pool:
        with live.store.holding("") as login:
            reading = [pool.submit(live.read, name) for name in names]
            assert login.arrived.wait(30)
            eventually(lambda: sum(one.done() for one in reading) == 6)
            refused = [one.exception(0) for one in reading if one.done()]
            assert {str(one) for one in refused} == {"memory:default: it has not answered yet"}
        eventually(lambda: all(one.done() for one in reading))
    eventually(lambda: all(_is_read(live, name) for name in names))


def test_a_store_that_is_only_slow_to_answer_first_refuses_nobody(live, monkeypatch):
    monkeypatch.setattr("confsync.source.asking._GRACE", 60.0)
    eventually(lambda: live.source._asking.followed)
    names = [f"s/{number}" for number in range(8)]
    for name in names:
        live.store.put(name, {"a": name})
    with ThreadPoolExecutor(8) as pool:
        with live.store.holding("") as login:
            reading = [pool.submit(live.read, name) for name in names]
            assert login.arrived.wait(30)
        assert [one.result(30) for one in reading] == [{"a": name} for name in names]


def test_decryptions_by_a_store_that_hangs_hold_one_reader_once_it_is_known_to_be_down(live):
    live.store.put("s", {"a": "1"})
    live.store.fail_with(Unavailable("no answer in time"))
    eventually(lambda: live.source._asking.followed)
    with pytest.raises(Unavailable):
        live.source.decrypt("transit/k", ["x"])
    with ThreadPoolExecutor(8) as pool, live.store.holding("") as login:
        eventually(lambda: _asks_to_decrypt(live, pool) and login.waiting == 1)
        for number in range(20):
            with pytest.raises(Unavailable):
                live.source.decrypt("transit/k", [str(number)])
        assert login.waiting == 1


def _asks_to_decrypt(live, pool):
    pool.submit(live.source.decrypt, "transit/k", ["x"])
    return True


def _is_read(live, name):
    try:
        return live.read(name) is not None
    except Unavailable:
        return False


def test_a_warning_is_logged_only_where_nobody_else_tells_that_the_store_is_down(rig, live, caplog):
    caplog.set_level("INFO")
    eventually(lambda: live.source._asking.followed)
    for one in (rig, live):
        one.store.put("db", {"a": "1"})
        one.store.fail_with(Unavailable("it is down"))
        assert isinstance(_failure(one, "db"), Unavailable)

    told = [record for record in caplog.records if record.getMessage() == "source cannot be read"]
    assert [record.levelname for record in told] == ["INFO", "WARNING"]
