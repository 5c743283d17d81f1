"""Which of an environment's keys somebody wants: prefixes, globs, documented ones, and what is left out."""

from __future__ import annotations

import pytest

from confsync.errors import ConfigError, ConfsyncError


@pytest.fixture
def shop(laptop):
    laptop.values(
        prod={"db/host": "h", "db/port": "1", "dbs/x": "x", "api/url": "u", "api/v2/url": "u2", "top": "t"},
        dev={},
    )
    laptop.put("db", password="p", user="u")
    laptop.put("db/replica", password="r")
    laptop.put("payment", card="c")
    laptop.document["sources"]["more"] = {"backend": "file", "path": "more.yaml"}
    laptop.document["environments"]["prod"]["more"] = "prod"
    laptop.values("more.yaml", prod={"db/timeout": "9"})
    laptop.configure()
    return laptop


def chosen(shop, *prefixes, **selection):
    return {one.key for one in shop.collect("prod", *prefixes, **selection).variables}


@pytest.mark.parametrize(
    ("prefixes", "keys"),
    [
        (["api"], {"values:api/url", "values:api/v2/url"}),
        (["/api/"], {"values:api/url", "values:api/v2/url"}),
        (["api/*"], {"values:api/url", "values:api/v2/url"}),
        (["values:api/v2"], {"values:api/v2/url"}),
        (["top"], {"values:top"}),
        (["/prod/api/v2"], {"values:api/v2/url"}),
        (["more:"], {"more:db/timeout"}),
        (["values:db", "top"], {"values:db/host", "values:db/port", "values:top"}),
        (["values:db", "values:db/host"], {"values:db/host", "values:db/port"}),
        (["vault:db"], {"vault:db#password", "vault:db#user", "vault:db/replica#password"}),
        (["vault:db#user"], {"vault:db#user"}),
        (["vault:/kv/prod/db#user"], {"vault:db#user"}),
        (["vault:db?version=1#user"], {"vault:db?version=1#user"}),
        (["vault:payment", "vault:db/replica"], {"vault:payment#card", "vault:db/replica#password"}),
        (
            ["db"],
            {
                "values:db/host", "values:db/port", "more:db/timeout", "vault:db#password", "vault:db#user",
                "vault:db/replica#password",
            },
        ),
    ],
)  # fmt: skip
def test_prefixes(shop, prefixes, keys):
    assert chosen(shop, *prefixes) == keys


@pytest.mark.parametrize(
    ("globs", "keys"),
    [
        (["*url"], {"values:api/url", "values:api/v2/url"}),
        (["values:db/*", "vault:*#card"], {"values:db/host", "values:db/port", "vault:payment#card"}),
        (["vault:db"], {"vault:db#password", "vault:db#user"}),
        (["vault:db/"], {"vault:db#password", "vault:db#user", "vault:db/replica#password"}),
        (["more:"], {"more:db/timeout"}),
    ],
)
def test_globs(shop, globs, keys):
    assert chosen(shop, globs=globs) == keys


def test_prefixes_and_globs_both_have_to_fit(shop):
    assert chosen(shop, "db", globs=["*port", "*url"]) == {"values:db/port"}


@pytest.mark.parametrize(
    ("without", "gone"),
    [
        (
            ["vault:"],
            {"vault:db#password", "vault:db#user", "vault:db/replica#password", "vault:payment#card"},
        ),
        (["*password"], {"vault:db#password", "vault:db/replica#password"}),
        (["vault:payment", "top"], {"vault:payment#card", "values:top"}),
        (["/prod/db/*"], {"values:db/host", "values:db/port", "more:db/timeout"}),
        (["db#user"], {"vault:db#user"}),
    ],
)
def test_what_is_left_out(shop, without, gone):
    assert chosen(shop, without=without) == chosen(shop) - gone


def test_only_what_is_documented(shop):
    shop.configure(keys={"api/*": {"about": "x"}, "vault:db#user": {"owner": "me"}})

    assert chosen(shop, documented=True) == {"values:api/url", "values:api/v2/url", "vault:db#user"}
    assert chosen(shop, "vault:", documented=True) == {"vault:db#user"}


@pytest.mark.parametrize(
    ("selection", "asked"),
    [
        ({"globs": ["vault:pay*"]}, ["payment"]),
        ({"globs": ["*#card"]}, ["db", "db/replica", "payment"]),
        ({"globs": ["values:*"]}, []),
        ({"without": ["vault:db", "vault:db/*"]}, ["payment"]),
        ({"without": ["vault:db#user"]}, ["db", "db/replica", "payment"]),
    ],
)
def test_secrets_of_which_nothing_is_wanted_are_not_asked_for(shop, selection, asked):
    chosen(shop, **selection)

    assert (
        sorted(call.path.removeprefix("kv/prod/") for call in shop.store.calls if call.kind == "fetch")
        == asked
    )


@pytest.mark.parametrize("prefix", ["values:", "more:db", "vault:payment#card"])
def test_sources_of_which_nothing_is_wanted_need_not_be_there(shop, prefix):
    if prefix != "vault:payment#card":
        shop.store.fail_with(RuntimeError("asked for all the same"))
    for name in ("values", "more"):
        if not prefix.startswith(name):
            (shop.directory / f"{name}.yaml").unlink()

    assert chosen(shop, prefix)
    assert [call.path for call in shop.store.calls if call.kind == "names"] == []


@pytest.mark.parametrize(
    ("prefixes", "selection", "says"),
    [
        (["aip"], {}, "environment prod has no keys for 'aip' (did you mean 'api'?)"),
        (["values:db/hots"], {}, "no keys for 'values:db/hots' (did you mean 'db/host'?)"),
        (["/prod/api/v3"], {}, "no keys for '/prod/api/v3'"),
        (["nothing/like/it"], {}, "no keys for 'nothing/like/it' (list the keys with: confsync ls -e prod)"),
        (["a", "b"], {}, "no keys for 'a', 'b' ("),
        (["vault:nowhere"], {}, "no keys for 'vault:nowhere' ("),
        (["vault:../up"], {}, "'../up' is no path of a secret: a step of the path is empty"),
        (["a\x1b[2J"], {}, r"no keys for 'a\x1b[2J'"),
        ([], {"globs": ["*pi/urll"]}, "no keys for '*pi/urll' (did you mean 'api/url'?)"),
        ([], {"without": ["*"]}, "environment prod has no keys that were not left out"),
        ([], {"documented": True}, "environment prod has no keys that were not left out"),
    ],
)
def test_nothing_found_is_an_error_with_the_nearest(shop, prefixes, selection, says):
    with pytest.raises(ConfsyncError) as raised:
        shop.collect("prod", *prefixes, **selection)

    assert says in str(raised.value)
    assert str(raised.value).isprintable()


def test_an_environment_without_keys_is_an_error(laptop):
    laptop.values(prod={}, dev={"x": "y"})

    with pytest.raises(ConfsyncError, match=r"^environment prod has no keys$"):
        laptop.collect()


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ({"globs": ["valeus:*"]}, "'valeus:\\*': there is no source 'valeus'; did you mean 'values'\\?"),
        ({"without": ["{a,b}"]}, "no alternatives in braces"),
        ({"syncs": ["app"], "globs": ["x"]}, "a sync says itself which keys it needs"),
        ({"syncs": ["app"], "documented": True}, "a sync says itself"),
        ({"syncs": ["app"]}, "there is no sync 'app'"),
    ],
)
def test_what_is_mistyped_is_a_wrong_call(shop, selection, says):
    with pytest.raises(ConfigError, match=says):
        shop.collect("prod", **selection)


def test_a_mistyped_source_of_a_prefix_is_a_wrong_call(shop):
    with pytest.raises(ConfigError, match="there is no source 'vualt'; did you mean 'vault'"):
        shop.collect("prod", "vualt:")
