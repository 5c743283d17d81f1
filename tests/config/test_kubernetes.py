"""What a configuration may say of Kubernetes, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from confsync.config.loading import load_config
from confsync.config.references import fixed
from confsync.errors import ConfigError


@pytest.fixture
def load(tmp_path):
    def load(text):
        (tmp_path / "confsync.yaml").write_text(text)
        return load_config(tmp_path / "confsync.yaml").config

    return load


@pytest.fixture
def complaint(load, tmp_path):
    """What is said of a wrong configuration, without the directory's name."""

    def complaint(text):
        with pytest.raises(ConfigError) as raised:
            load(text)
        return str(raised.value).replace(f"{tmp_path}/", "")

    return complaint


def sync(target, *, more="", data="{A: 1}"):
    return f"{more}\nsyncs:\n  app:\n    data: {data}\n    to: {target}\n"


SECRET = "{kubernetes_secret: {namespace: shop, name: db%s}}"


def places(config, name="app"):
    return [spec.place for target in config.syncs[name].to for spec in fixed(config, target.spec)]


def test_a_secret_needs_a_namespace_and_a_name(load, complaint):
    assert places(load(sync(SECRET % ""))) == ["default/shop/db"]
    assert "'namespace' is missing" in complaint(sync("{kubernetes_secret: {name: db}}"))
    assert "'name' is missing" in complaint(sync("{kubernetes_secret: {namespace: shop}}"))


def test_one_target_may_stand_for_several_namespaces(load):
    config = load(sync("{kubernetes_config_map: {namespace: [a, b], name: app}}"))
    assert places(config) == ["default/a/app", "default/b/app"]


@pytest.mark.parametrize(
    "target",
    [
        "{kubernetes_secret: {namespace: {labels: {team: shop}}, name: db}}",
        "{kubernetes_secret: {namespace: {selector: 'team in (a,b)'}, name: db}}",
        "{kubernetes_secret: {namespace: shop, name: db, immutable: true}}",
        "{kubernetes_secret: {namespace: shop, name: 'db-{{ vars.x }}'}}",
    ],
)
def test_where_some_targets_are_only_the_cluster_or_the_content_tells(load, target):
    assert places(load(sync(target))) == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{kubernetes_secret: {namespace: Shop, name: db}}", "'Shop' cannot be a namespace"),
        ("{kubernetes_secret: {namespace: [shop, a.b], name: db}}", "'a.b' cannot be a namespace"),
        ("{kubernetes_secret: {namespace: [], name: db}}", "name a namespace"),
        ("{kubernetes_secret: {namespace: shop, name: db_main}}", "'db_main' cannot be an object's name"),
        (
            "{kubernetes_secret: {namespace: shop, name: db, restart: [shop]}}",
            "'shop' is not deployment/NAME",
        ),
        ("{kubernetes_secret: {namespace: shop, name: db, restart: [job/shop]}}", "not deployment/NAME"),
        ("{kubernetes_secret: {namespace: shop, name: db, conflict: take}}", "did you mean 'conflicts'"),
        ("{kubernetes_config_map: {namespace: shop, name: db, type: tls}}", "unknown field 'type'"),
        ("{kubernetes_secret: {namespace: {}, name: db}}", "exactly one of labels, selector"),
        (
            "{kubernetes_secret: {namespace: {labels: {a: b}, selector: c}, name: db}}",
            "exactly one of labels, selector",
        ),
        (
            "{kubernetes_secret: {namespace: a, name: b}, file: x}",
            "exactly one of file, directory, kubernetes",
        ),
    ],
)
def test_a_wrong_target_is_told_with_what_to_write(complaint, target, said):
    message = complaint(sync(target))
    assert said in message
    assert message.startswith("confsync.yaml:5:")


def test_keys_are_checked_before_the_server_would(complaint):
    assert "'a b' cannot be a key" in complaint(sync(SECRET % "", data="{'a b': 1}"))
    assert "'..x' cannot be a key" in complaint(sync(SECRET % "", data="{..x: 1}"))


def test_a_target_names_a_cluster_that_there_is(load, complaint):
    two = "clusters: {prod: {context: a}, dev: {context: b}}"
    assert "say which cluster: prod, dev" in complaint(sync(SECRET % "", more=two))
    assert "did you mean 'prod'" in complaint(sync(SECRET % ", cluster: prood", more=two))
    assert "name it under `clusters`" in complaint(sync(SECRET % ", cluster: prod"))
    assert places(load(sync(SECRET % ", cluster: dev", more=two))) == ["dev/shop/db"]
    assert places(load(sync(SECRET % "", more="clusters: {prod: {}}"))) == ["prod/shop/db"]
    assert places(load(sync(SECRET % "", more="clusters: {prod: {}, default: {}}"))) == ["default/shop/db"]


def test_a_pod_has_no_context(complaint):
    assert "do not go with it" in complaint("clusters: {a: {in_cluster: true, context: b}}\nsyncs: {}\n")


def test_two_syncs_cannot_write_one_object(complaint, load):
    text = (
        sync(SECRET % "")
        + "  other:\n    data: {B: 1}\n    to: "
        + "{kubernetes_secret: {namespace: [a, shop], name: db}}"
    )
    assert "default/shop/db is already written by sync 'app'" in complaint(text)
    # A ConfigMap of the same name is another object.
    load(text.replace("{kubernetes_secret: {namespace: [a", "{kubernetes_config_map: {namespace: [a"))


def test_two_targets_of_a_sync_cannot_be_one_object(complaint):
    assert "already written" in complaint(sync(f"[{SECRET % ''}, {SECRET % ', type: tls'}]"))


def test_under_for_each_each_item_needs_a_name_of_its_own(complaint, load):
    text = "sources: {s: {backend: file, path: v}}\nsyncs:\n  app:\n    for_each: s.dirs()\n    data: {A: 1}\n    to: "
    assert "each item needs a name or namespace of its own" in complaint(text + SECRET % "")
    load(text + "{kubernetes_secret: {namespace: shop, name: 'db-{{ each.key }}'}}")
    load(text + "{kubernetes_secret: {namespace: '{{ each.key }}', name: db}}")


def test_a_single_template_has_no_key(complaint):
    text = f"syncs:\n  app:\n    template: a.j2\n    to: {SECRET % ''}\n"
    assert "needs templates or data, which name its keys" in complaint(text)


def test_templates_and_data_together_make_one_object(load, complaint):
    text = "syncs:\n  app:\n    data: {A: 1}\n    templates: {%s: a.j2}\n    to: "
    load(text % "b" + SECRET % "")
    assert "'A' is in templates and in data" in complaint(text % "A" + SECRET % "")
    assert "use a directory target" in complaint(text % "b" + "app.env")


def test_a_sensitive_sync_has_no_config_map(complaint):
    text = sync("{kubernetes_config_map: {namespace: shop, name: db}}") + "    sensitive: true\n"
    assert "use kubernetes_secret" in complaint(text)


def test_clusters_may_be_told_in_several_files(tmp_path):
    (tmp_path / "confsync.yaml").write_text(sync(SECRET % ", cluster: b", more="clusters: {a: {}}"))
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "more.yaml").write_text("clusters: {b: {}}")
    assert set(load_config(tmp_path / "confsync.yaml").config.clusters) == {"a", "b"}


def test_an_election_is_held_in_a_cluster_that_there_is(load, complaint):
    load("election: {namespace: shop}")
    assert "there is no cluster 'prod'" in complaint("election: {cluster: prod}")
    two = "clusters: {prod: {}, dev: {}}\n"
    assert "say which cluster the lease is in" in complaint(two + "election: {namespace: shop}")
    assert "did you mean 'prod'" in complaint(two + "election: {cluster: prd}")
    load(two + "election: {cluster: prod}")


def test_labels_are_checked_before_the_server_would(complaint):
    assert "'team x' cannot be a label's name" in complaint(sync(SECRET % ", labels: {'team x': shop}"))
    assert "cannot be a label's value" in complaint(sync(SECRET % ", labels: {team: 'a b'}"))
    selected = "{kubernetes_secret: {namespace: {labels: {'team x': shop}}, name: db}}"
    assert "'team x' cannot be a label's name" in complaint(sync(selected))


def test_every_target_names_its_cluster(load):
    config = load(sync(SECRET % "", more="clusters: {prod: {}}"))
    assert config.syncs["app"].to[0].spec.cluster == "prod"


def test_a_selector_that_selects_everything_is_not_written_by_mistake(complaint):
    blank = "{kubernetes_secret: {namespace: {selector: ' '}, name: db}}"
    assert "selector: must not be empty" in complaint(sync(blank))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", labels: {app.kubernetes.io/managed-by: me}", "is set by confsync itself"),
        (", annotations: {confsync.dev/sync: x}", "is confsync's own"),
    ],
)
def test_what_no_secret_can_be_is_told_before_anybody_is_asked(complaint, more, said):
    assert said in complaint(sync(SECRET % more))


@pytest.mark.parametrize("namespace", ["5", "null", "{names: [a]}"])
def test_a_namespace_that_is_none_is_told_as_a_namespace(complaint, namespace):
    message = complaint(sync(f"{{kubernetes_secret: {{namespace: {namespace}, name: db}}}}"))
    assert "str:" not in message
    assert "namespace" in message or "names" in message
