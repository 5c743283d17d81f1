"""How the command is called: options anywhere, wrong calls, colour, pipes, and the cost of starting."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from confsync.testing.waiting import eventually

CALLED_WRONGLY = (
    ("plam",),
    ("plan", "--nope"),
    ("--output", "xml", "plan"),
    ("plan", "--output", "xml"),
    ("get",),
    ("diff", "dev"),
    ("apply", "--plan", "no-such-file"),
    ("run", "--shutdown-timeout", "30"),
    ("completion", "csh"),
    ("init", "a", "b"),
)


@pytest.mark.parametrize("arguments", CALLED_WRONGLY, ids=" ".join)
def test_a_wrong_call_ends_with_3_and_says_so_on_stderr(project, arguments):
    result = project.run(*arguments)
    assert result.status == 3
    assert result.out == ""
    assert result.err.startswith("confsync: ")
    assert result.err.count("\n") == 1


def test_a_misspelt_command_gets_the_nearest_one(project):
    assert "did you mean 'plan'?" in project.run("plam").err


def test_a_misspelt_option_gets_the_nearest_one(project):
    assert "--output" in project.run("plan", "--outpt", "json").err


INVALID = "sources: {values: {backend: file, path: values.yaml}}\nsynks: {}\n"


@pytest.mark.parametrize(
    "command",
    [
        "plan",
        "apply",
        "run",
        "status",
        "explain x",
        "get x",
        "ls",
        "diff dev prod",
        "check",
        "docs",
    ],
)
def test_an_invalid_configuration_ends_every_command_with_3(project, command):
    project.config(INVALID)
    before = project.tree()
    result = project.run(*command.split())
    assert result.status == 3
    assert f"{project.root}/confsync.yaml:2:1: unknown field 'synks'; did you mean 'syncs'?" in result.err
    assert project.tree() == before


@pytest.mark.parametrize("command", [("plan",), ("apply",), ("run",), ("status",)], ids=" ".join)
def test_a_configuration_that_is_not_there_ends_every_command_with_3(bare, command):
    result = bare.run("-c", "nowhere.yaml", *command)
    assert result.status == 3
    assert "there is no configuration file nowhere.yaml" in result.err
    assert "confsync init" in result.err


def test_global_options_are_taken_before_and_after_the_command(project):
    project.ok("apply")
    elsewhere = project.root / "confsync.yaml"
    elsewhere = elsewhere.rename(project.root / "other.yaml")
    calls = (
        ("-c", "other.yaml", "-e", "prod", "--output", "json", "get", "db/host"),
        ("get", "-c", "other.yaml", "-e", "prod", "--output", "json", "db/host"),
        ("get", "db/host", "-c", "other.yaml", "-e", "prod", "--output", "json"),
        ("-c", "other.yaml", "get", "-e", "prod", "db/host", "--output", "json"),
    )
    results = [project.run(*call) for call in calls]
    assert [result.json["value"] for result in results] == ["db.example.com"] * 4


def test_of_an_option_given_twice_the_last_one_counts(project):
    assert project.ok("-e", "dev", "get", "db/host", "-e", "prod").out == "db.example.com\n"


def test_the_configuration_can_be_named_in_the_environment(project):
    (project.root / "confsync.yaml").rename(project.root / "other.yaml")
    named = {"CONFSYNC_CONFIG": str(project.root / "other.yaml")}
    assert project.run("get", "db/host", env=named).out == "localhost\n"


def test_an_environment_that_does_not_exist_ends_with_3(project):
    result = project.run("plan", "-e", "prud")
    assert result.status == 3
    assert "there is no environment 'prud'; did you mean 'prod'?" in result.err


def test_the_environment_chosen_on_the_command_line_reaches_the_target(project):
    project.ok("apply", "-e", "prod")
    assert "host = db.example.com" in project.read("app.conf")


def test_state_kept_in_memory_leaves_no_state_directory(project):
    project.ok("--state-dir", "memory", "apply")
    assert project.exists("app.conf")
    assert not project.state.exists()


def test_the_state_directory_can_be_configured(project):
    project.write("confsync.yaml", project.read("confsync.yaml") + "state_dir: kept\n")
    result = project.run("apply", state=False)
    assert result.status == 0
    assert (project.root / "kept" / "ledger.db").exists()


def test_a_plan_cannot_be_saved_without_a_state_directory(project):
    result = project.run("plan", "--out", "p", "--state-dir", "memory")
    assert result.status == 3
    assert "leave out --state-dir memory" in result.err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_is_not_taken_is_an_error_and_not_lost(project, unbuffered):
    ours, theirs = os.pipe2(os.O_NONBLOCK)
    with open(theirs, "wb") as full, open(ours, "rb"):
        done = subprocess.run(
            project.argv("schema"), cwd=project.root, env=project.environ(PYTHONUNBUFFERED=unbuffered),
            stdout=full, stderr=subprocess.PIPE, check=False, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1,
        "confsync: standard output: write could not complete without blocking\n",
    )


@pytest.mark.parametrize("command", ["ls", "plan", "check", "--help"])
def test_a_full_disk_under_stdout_is_one_line(project, command):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            project.argv(command), cwd=project.root, env=project.environ(),
            stdout=full, stderr=subprocess.PIPE, check=False, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "confsync: standard output: No space left on device\n")


def test_colour_is_for_terminals(project):
    assert "\x1b[" in project.shown("plan").terminal
    assert "\x1b[" not in project.run("plan").out


def test_no_color_is_obeyed(project):
    shown = project.shown("plan", NO_COLOR="1").terminal
    assert "host = localhost" in shown
    assert "\x1b[" not in shown


def test_a_terminal_without_colours_gets_none(project):
    shown = project.shown("plan", TERM="dumb").terminal
    assert "host = localhost" in shown
    assert "\x1b[" not in shown
    assert "\x1b[" not in project.shown("explain", "nothing-such", TERM="dumb").terminal


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (["plan", "--nonsense"], "plan: no such option '--nonsense' (see {} plan --help)"),
        (["exec"], "exec: missing argument 'ENV' (see {} exec --help)"),
        (["plan", "--output", "x"], "plan: invalid value for '--output'"),
        (["nonsense"], "there is no command 'nonsense' (see {} --help)"),
        (["plan", "--out"], "plan: option '--out' requires an argument (see {} plan --help)"),
        (["--output"], "option '--output' requires an argument"),
        (
            ["completion"],
            "completion: missing argument '{{bash|zsh|fish}}'. Choose from: bash, zsh, fish (see {} ",
        ),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_wrong_call_gets_one_line_that_says_where_the_right_one_is_told(bare, call, said):
    result = bare.run(*call, state=False)
    assert (result.status, result.out) == (3, "")
    assert result.err.startswith("confsync: " + said.format("python -m confsync"))
    assert result.err.count("\n") == 1


def test_a_wrong_value_is_told_of_the_variable_it_came_by(project):
    result = project.run("env", "dev", env={"CONFSYNC_CREDENTIALS": "mine"})
    assert result.status == 3
    assert result.err.startswith(
        "confsync: env: invalid value for $CONFSYNC_CREDENTIALS: 'mine' is not one of "
    )


def test_no_color_is_obeyed_in_errors(project):
    shown = project.shown("explain", "nothing-such", NO_COLOR="1").terminal
    assert "is no target, sync or key" in shown
    assert "\x1b[" not in shown


def test_a_reader_that_goes_away_ends_the_command_quietly(project):
    project.values({"dev": {f"key{n}": "x" * 150 for n in range(5000)}})
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        project.argv("--state-dir", str(project.state), "ls", "--values"),
        cwd=project.root,
        env=project.environ(),
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    assert len(os.read(ours, 10)) > 0
    os.close(ours)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == ""


def test_control_characters_in_values_never_reach_a_terminal(project):
    project.values({"dev": {"db": {"host": "a\x1b[2Jb\rc"}}})
    for command in (("plan",), ("ls", "--values"), ("explain", "db/host")):
        out = project.run(*command).out
        assert "\x1b" not in out
        assert "\r" not in out


def imported_by(project, *arguments, status=0):
    """The modules that a call imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "confsync", *arguments],
        cwd=project.root,
        env=project.environ(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr[-2000:]
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


def top_level(modules):
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--version", 0), ("plam", 3)])
def test_help_imports_none_of_the_heavy_libraries(bare, argument, status):
    imported = top_level(imported_by(bare, argument, status=status))
    assert "click" in imported
    heavy = {"jinja2", "pydantic", "yaml", "grpc", "apscheduler", "watchdog", "sqlite3", "dns"}
    assert imported & heavy == set()


def test_plan_without_such_a_source_imports_neither_grpc_nor_the_scheduler(project):
    imported = imported_by(project, "--state-dir", str(project.state), "plan", status=2)
    assert top_level(imported) & {"grpc", "apscheduler", "pyetcd"} == set()


FOR_TARGETS = {
    "jinja2",
    "confsync.plan.change",
    "confsync.render.recorder",
    "confsync.sinks.base",
    "confsync.sinks.ownership",
    "confsync.target",
}


@pytest.mark.parametrize("command", [("env", "dev"), ("exec", "dev", "--", "true")], ids=" ".join)
def test_an_environments_values_are_had_without_what_renders_compares_and_writes_targets(project, command):
    imported = imported_by(project, *command)
    assert "confsync.environments.variables.gathering" in imported
    assert imported & FOR_TARGETS == set()


def test_env_imports_nothing_of_what_runs_a_command(project):
    imported = imported_by(project, "env", "dev")
    of_exec = {name for name in imported if name.startswith("confsync.environments.execution.")}
    assert of_exec <= {"confsync.environments.execution.scratch", "confsync.environments.execution.guardian"}


def test_a_second_daemon_on_one_state_directory_is_refused_and_told_the_first_ones_process_id(project):
    first = project.daemon()
    second = project.run("run")
    assert second.status == 1
    assert f"another confsync (confsync run, process {first.pid}) is at work" in second.err
    assert "--state-dir" in second.err
    apply = project.run("apply")
    assert apply.status == 1
    assert str(first.pid) in apply.err
    assert first.poll() is None


def test_commands_that_only_look_work_beside_a_daemon(project):
    first = project.daemon()
    eventually(lambda: project.exists("app.conf"))
    eventually(lambda: project.run("status").status == 0)
    assert f"the daemon runs as process {first.pid}" in project.run("status").err
    assert project.ok("plan").out == "nothing to do\n"
    assert project.ok("explain", "app.conf").status == 0
    first.terminate()
    assert first.wait(30) == 0
    assert "no daemon is running" in project.run("status").err
