"""Promise: a render sees a source at one revision, also when it looks through several prefixes."""

from __future__ import annotations

import random
import threading

import pytest

from confsync.testing.etcd import wait_until


@pytest.fixture
def writing(etcd):
    """Runs a function again and again in a thread while the test goes on."""
    stop = threading.Event()
    threads = []

    def start(step):
        def run():
            number = 0
            while not stop.is_set():
                number += 1
                step(number)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    def end():
        stop.set()
        for thread in threads:
            thread.join()

    yield start, end
    end()


def test_after_every_delta_both_prefixes_carry_the_same_transaction(etcd, connect, follow, writing):
    start, end = writing
    etcd.transact({"/one/value": "0", "/two/value": "0"})
    torn = []

    def check(follower):
        one, two = follower.values("/one")["value"], follower.values("/two")["value"]
        if one != two:
            torn.append((one, two))

    follower = follow(connect(etcd), ["/one", "/two"], check)
    start(lambda number: etcd.transact({"/one/value": str(number), "/two/value": str(number)}))
    wait_until(lambda: follower.deltas >= 300 or follower.error, "many deltas", 120)
    end()

    assert (follower.error, torn) == (None, [])


def test_a_key_that_moves_between_prefixes_is_always_in_exactly_one(etcd, connect, follow, writing):
    start, end = writing
    etcd.put("/one/it", "")
    wrong = []

    def check(follower):
        places = [asked for asked in ("/one", "/two") if "it" in follower.trees[asked]]
        if len(places) != 1:
            wrong.append(places)

    def move(number):
        there, here = ("/two/it", "/one/it") if number % 2 else ("/one/it", "/two/it")
        etcd.transact({there: str(number)}, deletes=[here])

    follower = follow(connect(etcd), ["/one", "/two"], check)
    start(move)
    wait_until(lambda: follower.deltas >= 300 or follower.error, "many deltas", 120)
    end()

    assert (follower.error, wrong) == (None, [])


def test_whatever_is_written_a_follower_of_three_prefixes_agrees_with_a_fresh_read(
    etcd, connect, follow, writing
):
    start, end = writing
    chance = random.Random(7)
    prefixes = ["/a", "/b", "/c", "/b/sub"]
    keys = [f"/{top}/{path}" for top in "abc" for path in ("x", "y", "sub/z", "sub/w", "")]
    etcd.transact(dict.fromkeys(keys, "start"))

    def step(number):
        picked = chance.sample(keys, 4)
        etcd.transact(dict.fromkeys(picked[:2], str(number)), deletes=picked[2:])

    backend = connect(etcd)
    follower = follow(backend, prefixes)
    start(step)
    wait_until(lambda: follower.deltas >= 300 or follower.error, "many deltas", 120)
    end()
    last = etcd.transact({"/a/end": "", "/b/end": "", "/c/end": ""})
    wait_until(lambda: follower.revision >= last or follower.error, "all is delivered")

    assert follower.error is None
    assert follower.trees == backend.read(prefixes).trees
