"""`confsync exec`: a command with an environment's values, as a real process of its own."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest
from stand_ins.executed import after, cmdline, environ, processes
from stand_ins.executed import execs as execs

from confsync.testing.waiting import eventually

ODD = "two\nlines 'single' \"double\" $HOME `id` \\n ü🔑 \t end "
SECRET = "only-the-command-may-know-this"
DUMP = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]


def given(done):
    """The variables that a command which dumps them was given."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Exit status


@pytest.mark.parametrize("status", [0, 7, 255])
def test_the_exit_status_is_the_commands(execs, status):
    assert execs.run("dev", "--", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize(("name", "status"), [("KILL", 137), ("INT", 130)])
def test_a_command_that_a_signal_killed_gives_128_and_its_number(execs, name, status):
    assert execs.run("dev", "--", "sh", "-c", f"kill -{name} $$").returncode == status


def test_a_command_that_is_not_found_is_127_with_a_line(execs):
    done = execs.run("dev", "--", "no-such-program")

    assert done.returncode == 127
    assert done.stderr.startswith("confsync: no-such-program is not in PATH (")


@pytest.mark.parametrize("word", ["echo hi", "FOO=1", "cd"])
def test_what_a_shell_would_read_is_told_to_need_one(execs, word):
    done = execs.run("dev", "--", word, "x")

    assert done.returncode == 127
    hint = "if a shell is to read it, have one do so: -- sh -c '…'"
    assert done.stderr == f"confsync: there is no program called {word!r} ({hint})\n"


def test_an_empty_word_is_no_command_and_127(execs):
    done = execs.run("dev", "--", "", "x")

    assert done.returncode == 127
    assert done.stderr == "confsync: the command is an empty word (is a variable of a script empty?)\n"


def test_a_path_that_is_not_there_is_127_and_one_that_may_not_be_run_126(execs):
    (execs.root / "data").write_text("")

    missing, forbidden = execs.run("dev", "--", "./missing"), execs.run("dev", "--", "./data")

    assert (missing.returncode, forbidden.returncode) == (127, 126)
    assert "./missing does not exist" in missing.stderr
    assert "./data cannot be started: it is not executable for this user (chmod +x it" in forbidden.stderr


def test_a_directory_is_no_command(execs):
    done = execs.run("dev", "--", "/")

    assert done.returncode == 126
    assert done.stderr == "confsync: / is a directory\n"


def test_a_script_whose_interpreter_is_missing_says_so(execs):
    script = execs.root / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    done = execs.run("dev", "--", "./script")

    assert done.returncode == 127
    assert "the interpreter it names does not exist" in done.stderr


def test_so_does_one_that_is_found_in_path(execs):
    script = execs.root / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    done = execs.run("dev", "--", "script", env={"PATH": f"/no/such/place:{execs.root}"})

    assert done.returncode == 127
    assert done.stderr.startswith(
        "confsync: script cannot be started: the interpreter it names does not exist"
    )


def test_what_is_in_path_and_may_not_be_run_is_126_unless_it_is_there_again(execs):
    for name in ("one", "two"):
        (execs.root / name).mkdir()
    (execs.root / "one/tool").write_text("")
    path = f"{execs.root}/one:{execs.root}/two"
    forbidden = execs.run("dev", "--", "tool", env={"PATH": path})
    (execs.root / "two/tool").symlink_to("/bin/true")

    assert forbidden.returncode == 126
    assert "tool cannot be started: it is not executable for this user" in forbidden.stderr
    assert execs.run("dev", "--", "tool", env={"PATH": path}).returncode == 0


def test_a_directory_in_path_that_is_called_so_is_not_the_command(execs):
    (execs.root / "tools/tool").mkdir(parents=True)

    done = execs.run("dev", "--", "tool", env={"PATH": f"{execs.root}/tools"})

    assert done.returncode == 127
    assert done.stderr.startswith(f"confsync: tool is not in PATH ({execs.root}/tools)")


def test_why_a_program_cannot_be_started_is_told_whatever_else_is_in_path(execs):
    (execs.root / "tools").mkdir()
    (execs.root / "tools/true").write_text("")
    execs.values({"dev": {"huge": "x" * 200_000}})

    done = execs.run("dev", "--", "true", env={"PATH": f"{execs.root}/tools:{os.environ['PATH']}"})

    assert done.returncode == 126
    assert "no variable can be longer than 128 KiB, as HUGE is; leave it out" in done.stderr


def test_a_file_without_an_interpreter_is_given_to_no_shell(execs):
    script = execs.root / "script"
    script.write_text("touch ran\n")
    script.chmod(0o755)

    done = execs.run("dev", "--", "./script")

    assert done.returncode == 126
    assert "begin a script with a line such as #!/bin/sh" in done.stderr
    assert not (execs.root / "ran").exists()


def test_a_value_too_long_for_a_variable_is_named_and_not_shown(execs):
    execs.values({"dev": {"huge": "x" * 200_000, "small": "y"}})

    done = execs.run("dev", "--", "true")

    assert done.returncode == 126
    assert "no variable can be longer than 128 KiB, as HUGE is; leave it out" in done.stderr
    assert "xxx" not in done.stderr
    assert execs.run("dev", "--without", "huge", "--", "true").returncode == 0


def test_the_path_of_the_environment_is_where_the_command_is_looked_for(execs):
    tools = execs.root / "tools"
    tools.mkdir()
    (tools / "only-here").symlink_to("/bin/true")
    execs.values({"dev": {"path": str(tools)}})
    refused = execs.run("dev", "--", "only-here")
    assert refused.returncode == 1
    assert 'keys: {"values:path": {variable: APP_PATH}}' in refused.stderr, "not by chance"

    execs.config(syncs={}, keys={"path": {"variable": "PATH"}})

    assert execs.run("dev", "--", "only-here").returncode == 0


# Calls that are wrong, values that cannot be had: nothing is started


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["dev"], 3, "write it after --, as in: confsync exec dev -- COMMAND"),
        (["dev", "./server"], 3, "confsync exec dev -- ./server"),
        (
            ["dev", "ls", "-l"],
            3,
            "A command and its options stand after --, as in: confsync exec ENV -- ls -l",
        ),
        (["dev", "--"], 3, "there is no command"),
        (["dve", "--", "touch", "ran"], 3, "there is no environment 'dve'; did you mean 'dev'?"),
        (["dev", "--sync", "ap", "--", "touch", "ran"], 3, "there is no sync 'ap'; did you mean 'app'?"),
        (["dev", "-e", "prod", "--", "touch", "ran"], 3, "two environments: dev and -e prod"),
        (["dev", "--on-change", "HUP", "--", "touch", "ran"], 3, "--on-change goes with --watch"),
        (["dev", "--watch", "--on-change", "NOPE", "--", "touch", "ran"], 3, "'NOPE' is neither restart nor"),
        (["dev", "--only-syncs", "--", "touch", "ran"], 3, "--only-syncs goes with --sync"),
        (["dev", "--kill-after", "10", "--", "touch", "ran"], 3, "a duration"),
        (["dev", "--kill-after", "99999999999h", "--", "touch", "ran"], 3, "at the most 100000d"),
        (["dev", "--sync", "app", "--", "touch", "ran"], 1, "sync app: "),
        (["dev", "--key", "nothing/*", "--", "touch", "ran"], 1, "has no keys for 'nothing/*'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_run_is_not_begun(execs, arguments, status, said):
    execs.config(syncs={"app": {"template": {"inline": "{{ values('missing') }}"}, "to": "app"}})

    done = execs.run(*arguments)

    assert done.returncode == status
    assert said in done.stderr
    assert not (execs.root / "ran").exists()


def test_a_source_of_no_kind_is_told_with_its_line(execs):
    execs.config(sources={"store": {"backend": "ectd"}}, environments={"dev": {}}, syncs={})

    done = execs.run("dev", "--", "touch", "ran")

    assert done.returncode == 3
    assert "confsync.yaml:" in done.stderr
    assert "did you mean 'etcd'?" in done.stderr


def test_options_after_the_two_dashes_are_the_commands(execs):
    done = execs.run("dev", "--", "echo", "--pristine", "--", "--help")

    assert done.stdout == "--pristine -- --help\n"


# Variables


def test_values_arrive_exactly(execs):
    execs.values({"dev": {"odd": ODD, "empty": ""}})

    variables = given(execs.run("dev", "--", *DUMP))

    assert (variables["ODD"], variables["EMPTY"]) == (ODD, "")


def test_values_are_utf_8_whatever_the_locale(execs):
    execs.values({"dev": {"odd": ODD}})

    done = execs.run(
        "dev", "--", "printenv", "ODD", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    )

    assert done.stdout == f"{ODD}\n"


def test_words_reach_the_command_as_they_are(execs):
    assert execs.run("dev", "--", "printf", "%s|", "a b", "$HOME", "`id`", "").stdout == "a b|$HOME|`id`||"


def test_the_environments_value_wins_over_ours_and_info_says_so(execs):
    done = execs.run("dev", "--log-level", "info", "--", "printenv", "DB_HOST", env={"DB_HOST": "mine"})
    quiet = execs.run("dev", "--", "printenv", "DB_HOST", env={"DB_HOST": "mine"})

    assert done.stdout == quiet.stdout == "localhost\n"
    assert "names=DB_HOST" in done.stderr
    assert quiet.stderr == ""


def test_our_variables_go_along(execs):
    variables = given(execs.run("dev", "--", *DUMP, env={"OTHER": "mine"}))

    assert variables["OTHER"] == "mine"
    assert "CONFSYNC_FILES" not in variables


def test_a_variable_of_ours_that_has_no_name_stays_behind(execs):
    done = subprocess.run(
        ["env", "=nameless", *execs.exec_command("dev", "--", "env")], cwd=execs.root, env=execs.environ(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert "DB_HOST=localhost" in done.stdout.splitlines()
    assert "nameless" not in done.stdout


@pytest.mark.parametrize(
    "ours", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C"}, {"LANG": "C", "LC_CTYPE": ""}]
)
def test_what_python_makes_of_the_c_locale_is_not_the_commands(execs, ours):
    given_ours = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(execs.runtime), **ours}
    done = subprocess.run(
        execs.exec_command("dev", "--", "env"), cwd=execs.root, env=given_ours, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert sorted(done.stdout.splitlines()) == sorted(
        ["DB_HOST=localhost", *(f"{name}={value}" for name, value in given_ours.items())]
    )


def test_pristine_leaves_what_programs_need_and_what_is_kept(execs):
    ours = {"OTHER": "mine", "KEPT": "mine too", "LC_TIME": "C", "TZ": "UTC"}

    variables = given(
        execs.run("dev", "--pristine", "--keep", "KEPT", "--keep", "UNSET", "--", *DUMP, env=ours)
    )

    usual = {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TERM",
        "COLORTERM",
        "LANG",
        "LANGUAGE",
        "TMPDIR",
        "PWD",
    }
    assert {"DB_HOST", "KEPT", "LC_TIME", "TZ", "PATH", "HOME"} <= variables.keys()
    assert variables.keys() <= usual | {"DB_HOST", "KEPT", "LC_TIME", "TZ"}


CREDENTIALS = {
    "VAULT_TOKEN": "t",
    "VAULT_ADDR": "http://127.0.0.1:1",
    "ETCDCTL_PASSWORD": "p",
    "MINE": "m",
    "OTHER": "o",
}


@pytest.fixture
def guarded(execs):
    """Sources whose credentials are in variables, and that nobody asks since the policy closes them."""
    execs.config(
        sources={
            "values": {"backend": "file", "path": "values.yaml"},
            "vault": {"backend": "vault", "address": "http://127.0.0.1:1",
                      "auth": {"method": "userpass", "username": "me", "password_env": "MINE"}},
            "etcd": {"backend": "etcd", "endpoints": ["http://127.0.0.1:1"]},
        },
        environments={"dev": {"values": "dev"}},
        local={"dev": {"deny": ["vault:*", "etcd:*"]}},
        syncs={},
    )  # fmt: skip
    return execs


@pytest.mark.parametrize("pristine", [[], ["--pristine"]])
def test_credentials_for_the_sources_stay_with_confsync(guarded, pristine):
    variables = given(guarded.run("dev", *pristine, "--", *DUMP, env=CREDENTIALS))

    assert not {"VAULT_TOKEN", "ETCDCTL_PASSWORD", "MINE"} & variables.keys()
    assert ("OTHER" in variables) is not bool(pristine)


def test_a_credential_that_is_kept_goes_along(guarded):
    variables = given(guarded.run("dev", "--keep", "VAULT_TOKEN", "--", *DUMP, env=CREDENTIALS))

    assert variables["VAULT_TOKEN"] == "t"
    assert "MINE" not in variables


def test_a_selection_narrows_what_the_command_gets(execs):
    execs.values({"dev": {"api": {"url": "u", "key": "k"}, "db": {"host": "h"}}})

    by_prefix = given(execs.run("dev", "api", "--pristine", "--", *DUMP))
    by_key = given(execs.run("dev", "--key", "*/url", "--pristine", "--", *DUMP))

    assert {"API_URL", "API_KEY"} <= by_prefix.keys()
    assert "DB_HOST" not in by_prefix
    assert "API_URL" in by_key
    assert "API_KEY" not in by_key


# What does not come down


def test_what_is_held_back_is_told_with_its_rule_and_strict_starts_nothing(execs):
    execs.values({"dev": {"db": {"host": "h", "password": SECRET}}})
    execs.config(syncs={}, local={"dev": {"deny": ["db/password"]}})

    done = execs.run("dev", "--", *DUMP)
    strict = execs.run("dev", "--strict", "--", "touch", "ran")

    assert "DB_PASSWORD" not in given(done)
    rule = f'local.dev.deny "db/password" ({execs.root}/confsync.yaml:'
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"held back    values:db/password: {rule}")
    assert strict.returncode == 1
    assert strict.stderr.splitlines() == [
        line, "confsync: --strict: 1 key held back, 0 keys denied; nothing was started",
    ]  # fmt: skip
    assert not (execs.root / "ran").exists()
    assert SECRET not in done.stdout + done.stderr + strict.stderr


def test_a_sync_that_reads_what_is_held_back_fails_with_the_rules_name_before_anything_is_started(execs):
    execs.values({"dev": {"db": {"host": "h", "password": SECRET}}})
    execs.config(
        syncs={"app": {"template": {"inline": "{{ values('db/password') }}"}, "to": "app"}},
        local={"dev": {"deny": ["db/password"]}},
    )

    done = execs.run("dev", "--sync", "app", "--", "touch", "ran")

    assert done.returncode == 1
    assert 'values:db/password is held back by local.dev.deny "db/password"' in done.stderr
    assert not (execs.root / "ran").exists()


def test_a_substitute_reaches_variables_and_files(execs):
    execs.config(
        syncs={"app": {"template": {"inline": "{{ values('db/host') }}"}, "to": "app"}},
        local={"prod": {"deny": ["db/*"], "substitute": {"db/host": "127.0.0.1"}}},
    )

    done = execs.run(
        "prod", "--sync", "app", "--", "sh", "-c", 'echo "$DB_HOST"; cat "$CONFSYNC_FILES/app/app"'
    )

    assert done.stdout == "127.0.0.1\n127.0.0.1"
    assert done.stderr.startswith('substituted  DB_HOST by local.prod.substitute "db/host" (')


def test_a_substitute_in_a_data_map_is_told_too(execs):
    execs.config(
        syncs={"app": {"data": {"DATABASE": "values:db/host"}, "to": {"directory": "app"}}},
        local={"prod": {"substitute": {"db/host": "127.0.0.1"}}},
    )

    done = execs.run("prod", "--sync", "app", "--only-syncs", "--", "sh", "-c", 'echo "$DATABASE"')

    assert done.stdout == "127.0.0.1\n"
    assert done.stderr.startswith('substituted  DATABASE by local.prod.substitute "db/host" (')


# Files


def listed(execs, *arguments):
    """What the command sees below CONFSYNC_FILES: name -> (mode, content), through the links as it would."""
    program = (
        "import json, os, sys\n"
        "root = os.environ['CONFSYNC_FILES']\n"
        "assert sys.argv[1] == root + '/x', sys.argv\n"
        "found = {}\n"
        "for sync in sorted(os.listdir(root)):\n"
        "    if sync.startswith('..'): continue\n"
        "    for place, _, names in os.walk(os.path.join(root, sync)):\n"
        "        for name in names:\n"
        "            path = os.path.join(place, name)\n"
        "            found[os.path.relpath(path, root)] = [oct(os.stat(path).st_mode & 0o777), open(path).read()]\n"
        "modes = sorted({oct(os.lstat(p).st_mode & 0o777) for p, _, _ in os.walk(root)})\n"
        "print(json.dumps([modes, found]))\n"
    )
    done = execs.run(*arguments, "--", sys.executable, "-c", program, "{files}/x", umask=0)
    assert done.returncode == 0, done.stderr
    modes, found = json.loads(done.stdout)
    assert modes == ["0o700"]
    return {name: tuple(said) for name, said in found.items()}


def test_every_kind_of_target_is_a_file_of_its_own_readable_by_nobody_else(execs):
    data = {"DB_HOST": "values:db/host", "PORT": 5432}
    execs.config(
        syncs={
            "page": {"template": {"inline": "host={{ values('db/host') }}\n"},
                     "to": {"file": {"path": "/etc/app/page.conf", "mode": "0644"}}},
            "hook": {"template": {"inline": "#!/bin/sh\n"}, "to": {"file": {"path": "bin/hook", "mode": "0755"}}},
            "tree": {"data": data, "to": {"directory": "/etc/tree"}},
            "secret": {"data": data, "to": {"kubernetes_secret": {"namespace": "shop", "name": "db"}}},
            "map": {"data": data, "to": {"kubernetes_config_map": {"namespace": "shop", "name": "db"}}},
        }
    )  # fmt: skip

    found = listed(execs, "prod", *(f"--sync={name}" for name in ("page", "hook", "tree", "secret", "map")))

    each = {"DB_HOST": ("0o600", "db.example.com"), "PORT": ("0o600", "5432")}
    assert found == {
        "page/page.conf": ("0o600", "host=db.example.com\n"),
        "hook/hook": ("0o700", "#!/bin/sh\n"),
        **{f"{sync}/{name}": said for sync in ("tree", "secret", "map") for name, said in each.items()},
    }


def test_files_called_alike_have_as_much_of_their_paths_as_tells_them_apart(execs):
    execs.config(
        syncs={
            "app": {"data": {"A": 1}, "to": ["/etc/one/app.json", "/etc/two/app.json", "/etc/two/app.env"]},
        }
    )

    assert sorted(listed(execs, "dev", "--sync", "app")) == [
        "app/app.env",
        "app/one/app.json",
        "app/two/app.json",
    ]


def test_names_from_a_store_do_not_lead_out_of_the_directory(execs):
    execs.values({"dev": {"tenants": {"..": {"a": "1"}, "../../x": {"a": "1"}, "ok": {"a": "1"}}}})
    execs.config(
        syncs={
            "tenants": {
                "for_each": "values.dirs('tenants')",
                "template": {"inline": "{{ each.key }}"},
                "to": "/etc/tenants/{{ each.key }}",
            }
        }
    )

    done = execs.run("dev", "--key", "none*", "--sync", "tenants", "--", "true")
    names = [path.name for path in execs.root.rglob("*")]

    assert "x" not in names
    assert done.returncode in (0, 1)


def test_a_data_map_gives_its_variables_too_and_wins(execs):
    execs.config(
        syncs={
            "app": {
                "data": {"DB_HOST": {"template": "over {{ values('db/host') }}"}, "EXTRA": 1},
                "to": "app.env",
            },
            "tls": {"data": {"tls.crt": "values:db/host"}, "to": {"directory": "tls"}},
        }
    )

    variables = given(execs.run("dev", "--sync", "app", "--sync", "tls", "--", *DUMP))

    assert (variables["DB_HOST"], variables["EXTRA"]) == ("over localhost", "1")


def test_only_syncs_gives_no_variables_but_theirs(execs):
    execs.config(
        syncs={
            "app": {"data": {"EXTRA": 1}, "to": "app.env"},
            "page": {"template": {"inline": "{{ values('db/host') }}"}, "to": "page"},
        }
    )
    execs.values({"dev": {"db": {"host": "h"}, "no name for a variable ü": "x"}})

    variables = given(execs.run("dev", "--only-syncs", "--sync", "app", "--sync", "page", "--", *DUMP))

    assert variables["EXTRA"] == "1"
    assert "DB_HOST" not in variables


def test_data_maps_that_contradict_each_other_are_refused(execs):
    execs.config(
        syncs={
            "one": {"data": {"A": 1, "B": 2}, "to": "one.env"},
            "two": {"data": {"A": 1, "B": 3}, "to": "two.env"},
        }
    )

    done = execs.run("dev", "--sync", "one", "--sync", "two", "--", "touch", "ran")

    assert done.returncode == 1
    assert "one.B and two.B have different values for the variable B" in done.stderr
    assert not (execs.root / "ran").exists()


def test_without_a_sync_the_word_files_is_left_alone_and_nothing_is_made(execs):
    assert execs.run("dev", "--", "echo", "{files}").stdout == "{files}\n"


def test_what_the_command_leaves_in_the_directory_goes_with_it(execs):
    execs.config(syncs={"app": {"template": {"inline": "x"}, "to": "app"}})
    script = "mkdir -p {files}/own/deep; touch {files}/own/deep/file; chmod 0500 {files}/own/deep; ln -s / {files}/root"

    assert execs.run("dev", "--sync", "app", "--", "sh", "-c", script).returncode == 0
    assert os.path.isdir("/etc")


def test_without_a_runtime_directory_of_our_own_the_files_are_elsewhere(execs, tmp_path):
    execs.config(syncs={"app": {"template": {"inline": "x"}, "to": "app"}})
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    done = execs.run(
        "dev", "--sync", "app", "--", "printenv", "CONFSYNC_FILES", env={"XDG_RUNTIME_DIR": str(shared)}
    )

    assert done.returncode == 0
    assert not done.stdout.startswith(str(shared))
    assert not os.path.exists(done.stdout.strip())


def test_a_runtime_directory_may_have_any_name(execs):
    execs.config(syncs={"app": {"template": {"inline": "x"}, "to": "app"}})
    execs.runtime = execs.runtime.rename(os.fsdecode(os.fsencode(execs.runtime) + b" \n\xff"))
    script = 'test "$CONFSYNC_FILES" = "$1" && cat "$1/app/app"'

    done = execs.run("dev", "--sync", "app", "--", "sh", "-c", script, "sh", "{files}")

    assert (done.returncode, done.stdout, done.stderr) == (0, "x", "")


# The process


def test_the_standard_streams_and_other_descriptors_are_the_commands_own(execs):
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe:
        script = f"cat; echo error >&2; echo more >&{writing}"
        done = execs.run("dev", "--", "bash", "-c", script, input="hello", pass_fds=(writing,))
        os.close(writing)

        assert (done.stdout, done.stderr, pipe.read()) == ("hello", "error\n", "more\n")


def test_nothing_else_is_open_in_the_command(execs):
    execs.config(syncs={"app": {"template": {"inline": "x"}, "to": "app"}})

    done = execs.run("dev", "--sync", "app", "--", "ls", "/proc/self/fd")

    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


def test_the_command_has_the_signals_its_caller_had(execs):
    show = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
    ours = (
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"  # as nohup does
        "for ignored in (signal.SIGPIPE, signal.SIGXFSZ): signal.signal(ignored, signal.SIG_DFL)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])"
    )
    plain = subprocess.run(after(ours, show), capture_output=True, text=True, check=True).stdout

    assert execs.run("dev", "--", *show, first=ours).stdout == plain


def test_a_reader_that_goes_ends_the_command_as_it_does_any(execs):
    with execs.start("dev", "--", "yes") as running:
        assert running.line() == "y"
        running.process.stdout.close()

        assert running.end() == 128 + 13


def test_values_are_in_no_command_line_and_in_no_helper(execs):
    execs.values({"dev": {"token": SECRET}})
    execs.config(
        syncs={"app": {"template": {"inline": "{{ values('token') }}"}, "to": "app"}},
        sources={"values": {"backend": "file", "path": "values.yaml"}},
        environments={"dev": {"values": "dev"}},
    )

    with execs.start(
        "dev", "--sync", "app", "--", "sh", "-c", "echo ready; read line", stdin=subprocess.PIPE
    ) as running:
        assert running.line() == "ready"
        told = {pid: cmdline(pid) for pid in processes()}
        known = {pid: environ(pid) for pid in [running.pid, *execs.helpers()]}
        [file] = execs.runtime.glob("confsync-exec-*/app/app")

        assert file.read_text() == SECRET
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(known) == 2
        assert not [pid for pid, words in told.items() if any(SECRET.encode() in word for word in words)]
        assert not [pid for pid, words in known.items() if any(SECRET.encode() in word for word in words)]
        running.process.stdin.close()
        running.end()
    execs.wait_clean()


def test_helpers_are_gone_with_the_command(execs):
    assert execs.run("dev", "--", "true").returncode == 0
    eventually(lambda: execs.helpers() == [])


def test_what_env_wrote_and_is_past_its_time_goes_at_the_end(execs):
    env = execs.environ()
    written = subprocess.run(
        [*execs.command("env"), "dev", "--out", "past.env", "--ttl", "1ms"], cwd=execs.root, env=env, check=False,
    )  # fmt: skip
    assert written.returncode == 0
    assert (execs.root / "past.env").exists()

    done = execs.run("dev", "--", "sh", "-c", "exit 3")

    assert done.returncode == 3
    assert not (execs.root / "past.env").exists()
    assert f"{execs.root}/past.env: removed, its time is over" in done.stderr
