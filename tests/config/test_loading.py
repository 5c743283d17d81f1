"""What a configuration may say, and what is said of a wrong one: file, line, column and what to write."""

from __future__ import annotations

import pytest

from confsync.config.loading import find_config, load_config
from confsync.errors import ConfigError

GOOD = """\
sources:
  etcd: {backend: etcd, endpoints: ["http://127.0.0.1:2379"]}
  values: {backend: file, path: values.yaml}
environments:
  prod: {etcd: [/prod/shop, /common], values: prod}
  dev: {etcd: /dev/shop}
defaults: {environment: prod, interval: 60s}
syncs:
  nginx:
    template: nginx/upstream.conf.j2
    to: {file: {path: /etc/nginx/conf.d/shop.conf, mode: "0644"}}
    check: [nginx, -t]
    reload: {command: [nginx, -s, reload]}
"""


@pytest.fixture
def load(tmp_path):
    def load(text, **others):
        (tmp_path / "confsync.yaml").write_text(text)
        for name, content in others.items():
            (tmp_path / "conf.d").mkdir(exist_ok=True)
            (tmp_path / "conf.d" / f"{name}.yaml").write_text(content)
        return load_config(tmp_path / "confsync.yaml")

    return load


@pytest.fixture
def complaint(load, tmp_path):
    """What is said of a wrong configuration, without the directory's name."""

    def complaint(text, **others):
        with pytest.raises(ConfigError) as raised:
            load(text, **others)
        return str(raised.value).replace(f"{tmp_path}/", "")

    return complaint


def sync(body):
    return f"sources: {{s: {{backend: memory}}}}\nsyncs:\n  app:\n    template: a.j2\n    to: a\n    {body}\n"


def test_the_example_is_valid(load):
    config = load(GOOD).config
    assert config.environments["prod"]["etcd"] == ["/prod/shop", "/common"]
    assert config.environments["dev"]["etcd"] == ["/dev/shop"]
    assert config.defaults.interval == 60
    assert config.syncs["nginx"].to[0].file.mode == 0o644
    assert config.syncs["nginx"].check[0].command == ["nginx", "-t"]


def test_an_empty_file_is_a_valid_configuration_of_nothing(load):
    assert load("").config.syncs == {}
    assert load("# only a comment\n").config.syncs == {}


MALFORMED = [
    ("sources: {a: [1, 2}\n", "confsync.yaml:1:19: not valid YAML"),
    ("a: 1\n b: 2\n", "confsync.yaml:2:3: not valid YAML"),
    ("a: 'x\n", "confsync.yaml:2:1: not valid YAML"),
    ("a: 1\n\tb: 2\n", "confsync.yaml:2:1: not valid YAML: a tab cannot indent it"),
    ("a:\n\tb: 2\n", "confsync.yaml:2:1: not valid YAML: a tab cannot indent it"),
    ("a: &a [*a]\n", "confsync.yaml: not valid YAML here: nested too deeply, or in itself"),
    ("a: *unknown\n", "confsync.yaml:1:4: not valid YAML"),
    ("a: !!python/object:os.system {}\n", "confsync.yaml:1:4: not valid YAML"),
    ("- a\n- b\n", "confsync.yaml:1:1: a configuration is a mapping"),
    ("just text\n", "confsync.yaml:1:1: a configuration is a mapping"),
    ("a: 1\n---\nb: 2\n", "confsync.yaml:2:1: not valid YAML"),
    ("a: \x01\n", "confsync.yaml"),
    ("? [a]\n: b\n", "confsync.yaml: not valid YAML here: a key must be text"),
]


@pytest.mark.parametrize(("text", "expected"), MALFORMED)
def test_malformed_yaml_is_named_with_line_and_column(complaint, text, expected):
    assert expected in complaint(text)


def test_yaml_nested_without_end_is_an_error_not_a_crash(complaint):
    assert "not valid YAML" in complaint("a: " + "[" * 20_000)


def test_a_file_that_is_not_text_is_named(load, tmp_path):
    (tmp_path / "confsync.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match=r"confsync.yaml: is not UTF-8 text \(byte 3\)"):
        load_config(tmp_path / "confsync.yaml")


def test_a_directory_for_a_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


UNKNOWN = [
    ("synks: {}\n", "confsync.yaml:1:1: unknown field 'synks'; did you mean 'syncs'?"),
    (
        "defaults:\n  intervall: 1s\n",
        "confsync.yaml:2:3: unknown field 'intervall'; did you mean 'interval'?",
    ),
    ("defaults:\n  wait: {mim: 1s}\n", "confsync.yaml:2:10: unknown field 'mim'; did you mean 'min'?"),
    ("defaults:\n  limits: {tyme: 1s}\n", "confsync.yaml:2:12: unknown field 'tyme'; did you mean 'time'?"),
    ("mass_delete: {percents: 3}\n", "confsync.yaml:1:15: unknown field 'percents'; did you mean 'percent'?"),
    (sync("relaod: [x]"), "confsync.yaml:6:5: unknown field 'relaod'; did you mean 'reload'?"),
    (sync("reload: {comand: [x]}"), "confsync.yaml:6:14: unknown field 'comand'; did you mean 'command'?"),
    (
        sync("reload: {http: {url: 'http://x', metod: GET}}"),
        "confsync.yaml:6:38: unknown field 'metod'; did you mean 'method'?",
    ),
    (sync("check: [{comand: [x]}]"), "confsync.yaml:6:14: unknown field 'comand'; did you mean 'command'?"),
    (
        "syncs:\n  app:\n    template: a\n    to: {file: {path: a, mod: '0644'}}\n",
        "confsync.yaml:4:26: unknown field 'mod'; did you mean 'mode'?",
    ),
    (
        "syncs:\n  app:\n    template: a\n    to:\n    - file: {path: a}\n    - {fil: {path: a}}\n",
        "confsync.yaml:6:8: unknown field 'fil'; did you mean 'file'?",
    ),
    (
        "syncs:\n  app:\n    template: {inlin: x}\n    to: a\n",
        "confsync.yaml:3:16: unknown field 'inlin'; did you mean 'inline'?",
    ),
    (
        "syncs:\n  app:\n    data: {A: {templat: x}}\n    to: a\n",
        "confsync.yaml:3:16: unknown field 'templat'; did you mean 'template'?",
    ),
]


@pytest.mark.parametrize(("text", "expected"), UNKNOWN)
def test_an_unknown_field_is_named_with_its_place_and_the_nearest_known_one(complaint, text, expected):
    assert expected in complaint(text)


def test_an_unknown_option_of_a_source_is_named_with_the_nearest(load, tmp_path):
    from confsync.source.registry import validate_source

    loaded = load("sources:\n  values:\n    backend: file\n    pth: values.yaml\n")
    with pytest.raises(ConfigError) as raised:
        validate_source(loaded, "values")
    assert f"{tmp_path}/confsync.yaml:4:5: backend 'file' has no option 'pth'; did you mean 'path'?" in str(
        raised.value
    )


def test_an_unknown_backend_is_named_with_the_nearest(load, tmp_path):
    from confsync.source.registry import validate_source

    loaded = load("sources:\n  values: {backend: fil}\n")
    with pytest.raises(ConfigError) as raised:
        validate_source(loaded, "values")
    assert f"{tmp_path}/confsync.yaml:2:21: there is no backend 'fil'; did you mean 'file'?" in str(
        raised.value
    )


def test_every_problem_is_told_at_once(complaint):
    text = sync("relaod: [x]") + "defaults: {intervall: 1s}\nsynks: {}\n"
    assert len(complaint(text).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("syncs: {}\nsyncs: {}\n", "confsync.yaml:2:1: not valid YAML: 'syncs' is written twice"),
        (sync("to: b"), "confsync.yaml:6:5: not valid YAML: 'to' is written twice"),
        (
            "sources:\n  a: {backend: x}\n  a: {backend: y}\n",
            "confsync.yaml:3:3: not valid YAML: 'a' is written twice",
        ),
    ],
)
def test_a_key_written_twice_is_refused(complaint, text, where):
    assert where in complaint(text)


def test_merge_keys_of_yaml_work(load):
    text = "syncs:\n  one: &base {template: a, to: a}\n  two: {<<: *base, to: b}\n"
    assert load(text).config.syncs["two"].to[0].file.path == "b"


def test_files_in_conf_d_are_merged(load):
    loaded = load(
        GOOD, more="syncs:\n  other: {template: x, to: /tmp/x}\n", env="environments:\n  test: {etcd: /t}\n"
    )
    assert list(loaded.config.syncs) == ["nginx", "other"]
    assert set(loaded.config.environments) == {"prod", "dev", "test"}
    assert [file.path.name for file in loaded.files] == ["confsync.yaml", "env.yaml", "more.yaml"]


def test_the_same_name_in_two_files_is_refused_with_both_places(complaint):
    found = complaint(GOOD, more="# one\nsyncs:\n  nginx: {template: x, to: /tmp/x}\n")
    assert "conf.d/more.yaml:3:3: syncs: 'nginx' was already given at confsync.yaml:9:3" in found


def test_a_section_that_cannot_be_merged_is_refused_with_both_places(complaint):
    found = complaint(GOOD, more="defaults: {interval: 5s}\n")
    assert "conf.d/more.yaml:1:1: 'defaults' was already given at confsync.yaml:7:1" in found


def test_an_error_in_conf_d_names_that_file(complaint):
    found = complaint(GOOD, more="syncs:\n  other: {template: x, to: /tmp/x, chek: [a]}\n")
    assert "conf.d/more.yaml:2:36: unknown field 'chek'; did you mean 'check'?" in found
    assert "conf.d/more.yaml:2:1: not valid YAML" in complaint(GOOD, more="syncs: [\n")


def test_other_files_in_conf_d_are_left_alone(load, tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "README").write_text("{{{{")
    (tmp_path / "conf.d" / "more.yaml.bak").write_text("{{{{")
    assert list(load(GOOD).config.syncs) == ["nginx"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "defaults: {interval: 60}\n",
            "confsync.yaml:1:22: interval: a duration needs a unit: 60s, 60ms or 60m?",
        ),
        ("defaults: {interval: soon}\n", "'soon' is not a duration; write for example"),
        ("defaults: {interval: 0s}\n", "confsync.yaml:1:22: interval: "),
        ("defaults: {wait: {min: 5s, max: 1s}}\n", "max must not be less than min"),
        ("defaults: {limits: {memory: lots}}\n", "'lots' is not a size; write for example 64MiB"),
        ("mass_delete: {percent: 101}\n", "confsync.yaml:1:24: percent: "),
        (
            "syncs: {a: {template: x, to: {file: {path: x, mode: 644}}}}\n",
            'confsync.yaml:1:53: mode: 644 is decimal to YAML; write mode: "0644"',
        ),
        ("syncs: {a: {template: x, to: {file: {path: x, mode: rw}}}}\n", "'rw' is not a file mode"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_what_to_write(complaint, text, expected):
    assert expected in complaint(text)


def test_an_octal_mode_without_quotes_is_understood(load):
    config = load("syncs: {a: {template: x, to: {file: {path: x, mode: 0640}}}}\n").config
    assert config.syncs["a"].to[0].file.mode == 0o640


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("syncs: {a: {to: x}}\n", "give exactly one of template, templates, data"),
        ("syncs: {a: {template: x, data: {A: 1}, to: x}}\n", "give exactly one of template, templates, data"),
        ("syncs: {a: {template: x}}\n", "confsync.yaml:1:12: 'to' is missing"),
        ("syncs: {a: {template: x, to: []}}\n", "to: "),
        ("syncs: {a: {template: x, to: {}}}\n", "give exactly one of file, directory"),
        ("syncs: {a: {template: x, to: {directory: d}}}\n", "a directory needs templates or data"),
        ("syncs: {a: {templates: {x: y}, to: f}}\n", "templates make several files"),
        (sync("reload: {}"), "give exactly one of command, shell, signal, systemd, http"),
        (sync("reload: {command: [x], shell: y}"), "give exactly one of"),
        (sync("reload: {signal: HUP}"), "signal and pid_file belong together"),
        (sync("check: {systemd: x}"), "unknown field 'systemd'"),
        (sync("check: []\n    reload: {command: []}"), "command: "),
        ("syncs: {'a b': {template: x, to: x}}\n", "'a b' is not a legal name"),
        ("sources: {'a-b': {backend: file}}\n", "'a-b' is not a legal name"),
        ("sources: {vars: {backend: file}}\n", "confsync.yaml:1:11: a source cannot be called 'vars'"),
        ("sources: {a: {path: x}}\n", "'backend' is missing"),
        ("syncs: []\n", "confsync.yaml:1:8: syncs: "),
    ],
)
def test_what_does_not_go_together_is_refused(complaint, text, expected):
    assert expected in complaint(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "sources: {etcd: {backend: etcd}}\nenvironments:\n  prod: {ectd: /p}\n",
            "confsync.yaml:3:10: there is no source 'ectd'; did you mean 'etcd'?",
        ),
        (
            "environments: {prod: {}}\ndefaults: {environment: prd}\n",
            "confsync.yaml:2:25: there is no environment 'prd'; did you mean 'prod'?",
        ),
        (
            "environments: {prod: {}}\nsyncs:\n  a: {template: x, to: x, environment: prd}\n",
            "confsync.yaml:3:40: there is no environment 'prd'; did you mean 'prod'?",
        ),
        (
            "sources: {etcd: {backend: etcd}}\nsyncs:\n  a: {data: {A: 'ectd:x'}, to: x.env}\n",
            "confsync.yaml:3:17: there is no source 'ectd'; did you mean 'etcd'?",
        ),
        (
            "sources: {etcd: {backend: etcd}}\nsyncs:\n  a: {data: {A: plain}, to: x.env}\n",
            "confsync.yaml:3:17: 'plain' is not source:path; for a constant write {value: 'plain'}",
        ),
        (
            "syncs:\n  a: {template: x, to: /x}\n  b: {template: x, to: /x}\n",
            "confsync.yaml:3:24: /x is already written by sync 'a'",
        ),
        ("syncs:\n  a: {template: x, to: [/x, /x]}\n", "/x is already written by sync 'a'"),
        (
            "syncs:\n  a: {template: x, to: [/x, {file: /x}, /y]}\n",
            "confsync.yaml:2:",
        ),
        (
            "syncs:\n  a: {template: x, to: /x, for_each: '[1]'}\n",
            "needs a path of its own, with {{ each.key }}",
        ),
    ],
)
def test_references_that_lead_nowhere_are_refused_with_the_nearest(complaint, text, expected):
    assert expected in complaint(text)


@pytest.mark.parametrize("other", ["/etc/../x", "/./x", "//x", "/x/"])
def test_one_path_spelt_in_two_ways_is_still_one_path(complaint, other):
    text = f"syncs:\n  a: {{template: x, to: /x}}\n  b: {{template: x, to: {other}}}\n"
    assert "is already written by sync 'a'" in complaint(text)


@pytest.mark.parametrize(
    "to",
    ["/x", "{file: /x}", "{file: {path: /x}}", "[/x]", "[{file: /x}]", "[{file: {path: /x}}]"],
)
def test_one_file_can_be_written_in_every_short_form(load, to):
    (target,) = load(f"syncs:\n  a:\n    template: x\n    to: {to}\n").config.syncs["a"].to
    assert target.spec.path == "/x"


def test_several_short_targets_may_stand_in_one_list(load):
    targets = load("syncs:\n  a:\n    template: x\n    to: [/x, {file: {path: /y}}]\n").config.syncs["a"].to
    assert [target.spec.path for target in targets] == ["/x", "/y"]


@pytest.mark.parametrize(
    "form", ["[nginx, -t]", "{command: [nginx, -t]}", "[{command: [nginx, -t]}]", "[[nginx, -t]]"]
)
@pytest.mark.parametrize("field", ["check", "reload"])
def test_one_command_can_be_written_in_every_short_form(load, field, form):
    (action,) = getattr(load(sync(f"{field}: {form}")).config.syncs["app"], field)
    assert action.command == ["nginx", "-t"]


def test_several_reloads_may_be_given(load):
    reloads = (
        load(sync("reload: [[a, b], {systemd: nginx}, {signal: HUP, pid_file: p}]"))
        .config.syncs["app"]
        .reload
    )
    assert [reload.kinds() for reload in reloads] == [["command"], ["systemd"], ["signal"]]


def test_a_template_may_be_inline(load):
    assert load("syncs: {a: {template: {inline: 'x'}, to: x}}\n").config.syncs["a"].template.inline == "x"


def test_the_configuration_named_on_the_command_line_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("confsync.yaml", "named.yaml", "environment.yaml"):
        (tmp_path / name).write_text("")
    assert find_config(None).name == "confsync.yaml"
    monkeypatch.setenv("CONFSYNC_CONFIG", "environment.yaml")
    assert find_config(None).name == "environment.yaml"
    assert find_config("named.yaml").name == "named.yaml"


def test_without_any_configuration_the_places_looked_at_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONFSYNC_CONFIG", raising=False)
    with pytest.raises(ConfigError, match=r"CONFSYNC_CONFIG, confsync.yaml, /etc/confsync/confsync.yaml"):
        find_config(None)


def resolve(node, schema):
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def test_the_json_schema_knows_every_field_and_refuses_others():
    from confsync.source.registry import config_schema

    schema = config_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {
        "sources", "clusters", "environments", "defaults", "templates", "mass_delete", "election", "health",
        "state_dir", "syncs", "local", "keys",
    }  # fmt: skip
    for name, model in schema["$defs"].items():
        if model.get("type") == "object" and name != "Source":
            assert model["additionalProperties"] is False, name
            fields = model["properties"].values()
            assert all(
                {"description", "anyOf", "const"} & {*resolve(field, schema), *field} for field in fields
            ), name


def test_every_reference_of_the_json_schema_leads_somewhere():
    from confsync.source.registry import config_schema

    schema = config_schema()

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].rsplit("/", 1)[1] in schema["$defs"]
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(schema)


def test_a_source_cannot_keep_leases_and_revoke_them(load):
    loaded = "sources: {s: {backend: vault, keep_leases: true, revoke: always}}\n"
    with pytest.raises(ConfigError, match="keep_leases goes on with what revoke: always ends; choose one"):
        load(loaded)


def test_only_sources_with_logins_take_what_is_about_leases(load):
    from confsync.source.registry import validate_source

    loaded = load("sources:\n  values:\n    backend: file\n    path: v.yaml\n    keep_leases: true\n")
    with pytest.raises(ConfigError, match="5:5: keep_leases is for sources with logins and leases"):
        validate_source(loaded, "values")


def test_a_directory_that_was_removed_meanwhile_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("CONFSYNC_CONFIG", raising=False)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for named in (None, "named.yaml"):
        with pytest.raises(ConfigError, match="the directory this is called in was removed"):
            find_config(named)
