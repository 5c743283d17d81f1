"""docs/ci.md: its jobs are run, with a real etcd that wants a login, and with a real Vault where there is one.

Only places differ from the page: addresses, directories, and the names of the mounts and the policy, since tests may
share a Vault; and etcd may take its time, on a machine that is busy. What only GitHub or GitLab can do has a stand-in:
`docs.jobs`, their tokens, `gh` and `pip`.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from docs.jobs import GitHub, GitLab, Job
from stand_ins.vault.fixtures import Vault, vault, vault_server
from stand_ins.vault.identities import JwtIssuer

from confsync.testing.etcd import EtcdCluster

__all__ = ["vault", "vault_server"]

PAGE = (Path(__file__).parents[2] / "docs/ci.md").read_text(encoding="utf-8")
SECRETS = {"staging-pw", "s3cr3t-of-prod", "pw-of-etcd"}

VALUES = {
    "/staging/shop/api/url": "https://pay.staging.example.com",
    "/staging/shop/api/timeout": "5s",
    "/staging/shop/feature/express": "off",
    "/prod/shop/api/url": "https://pay.example.com",
    "/prod/shop/api/timeout": "500ms",
    "/prod/shop/feature/express": "off",
}

INTEGRATION_TEST = """\
#!/bin/sh
echo "url=$API_URL password=$DB_PASSWORD" >seen
echo "token=${VAULT_ID_TOKEN-none} etcd=${ETCD_PASSWORD-none}" >>seen
"""


def block(begins: str) -> str:
    """The block of the page that begins so."""
    return next(
        text for text in re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.M | re.S) if text.startswith(begins)
    )


class Shop:
    """A checkout of the page's repository, its stores, and what runs its jobs.

    Attributes:
        target: the file that the sync makes.
    """

    def __init__(self, root: Path, etcd: EtcdCluster, vault: Vault, tokens: Tokens) -> None:
        self.etcd = etcd
        self._vault, self._tokens = vault, tokens
        self._mounts = {"secret": vault.admin.mount_kv(), "jwt": vault.admin.login_mount("jwt")}
        self.checkout = root / "checkout"
        self.target = root / "etc/checkout.conf"
        self.target.parent.mkdir()
        self._places = {
            '["https://etcd.example.com:2379"]': f'["{etcd.endpoints[0]}"], timeout: 60s',
            "https://vault.example.com": vault.address,
            "auth: {method: jwt,": f"auth: {{method: jwt, mount: {self._mounts['jwt']},",
            "/etc/shop": str(self.target.parent),
            "/var/lib/confsync": str(root / "state"),
        }
        self._fill_stores()
        self._let_jobs_in()
        self._check_out()
        bin_ = root / "bin"
        bin_.mkdir()
        _program(bin_ / "pip", "#!/bin/sh\n")
        _program(bin_ / "pipx", "#!/bin/sh\n")
        _program(bin_ / "gh", '#!/bin/sh\necho "$@" >gh.arguments\ncp "$5" gh.body\n')
        path = os.pathsep.join([str(bin_), str(Path(sys.executable).parent), os.environ["PATH"]])
        python = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
        self._environment = {**python, "PATH": path, "HOME": str(root / "home"), "LC_ALL": "C.UTF-8"}
        (root / "home").mkdir()
        context = {
            "secrets.ETCD_PASSWORD": "pw-of-etcd", "github.token": "gh-token", "github.repository": "example/shop",
            "github.event.pull_request.head.repo.full_name": "example/shop", "github.event.pull_request.number": "17",
        }  # fmt: skip
        self.github = GitHub(self.checkout, self._environment, context, tokens.variables)
        self.gitlab = GitLab(self.checkout, self._environment, {"ETCD_PASSWORD": "pw-of-etcd"}, tokens.token)

    def put(self, key: str, value: str) -> None:
        self.etcd.put(key, value)

    def workflow(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self._of(f"# .github/workflows/{name}"))
        return found

    def pipeline(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self._of("# .gitlab-ci.yml"))
        return found

    def job(self, workflow: str, name: str, **needed: Job) -> Job:
        """Run a job of a workflow of the page."""
        return self.github.run(self.workflow(workflow), name, **needed)

    def stage(self, name: str, *before: Job) -> Job:
        """Run a job of the page's pipeline on GitLab."""
        return self.gitlab.run(self.pipeline(), name, *before)

    def confsync(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["confsync", *words], cwd=self.checkout, env={**self._environment, **variables},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def id_token(self) -> str:
        return self._tokens.token(self._vault.address)

    def vault_token(self) -> str:
        """A token of Vault's that may do what the role may."""
        return self._vault.admin.token([self._policy])

    def bind(self, **claims: str) -> None:
        """Bind the role to these claims besides."""
        role = self._role | {"bound_claims": self._role["bound_claims"] | claims}
        self._vault.admin.must("POST", f"auth/{self._mounts['jwt']}/role/shop", role)

    def deny(self, secret: str) -> None:
        """Let nobody read it."""
        denied = f'path "{self._mounts["secret"]}/data/{secret}" {{ capabilities = ["deny"] }}\n'
        self._vault.admin.must("PUT", f"sys/policies/acl/{self._policy}", {"policy": self._rules + denied})

    def _of(self, begins: str) -> str:
        """A block, put where this is."""
        text = block(begins)
        for there, here in self._places.items():
            text = text.replace(there, here)
        return re.sub(r"(?<![\w-])secret/(?=\w)", f"{self._mounts['secret']}/", text)

    def _fill_stores(self) -> None:
        self.etcd.clear()
        for key, value in VALUES.items():
            self.etcd.put(key, value)
        admin, mount = self._vault.admin, self._mounts["secret"]
        admin.put(mount, "staging/shop/db", {"password": "staging-pw"})
        admin.put(mount, "prod/shop/db", {"password": "s3cr3t-of-prod"})

    def _let_jobs_in(self) -> None:
        """What the page's administrator does; the issuer's key in place of where GitHub publishes its own."""
        text = self._of("$ vault auth enable jwt")
        self._rules, role = re.findall(r"<<EOT\n(.*?)EOT$", text, re.M | re.S)
        admin, mount = self._vault.admin, self._mounts["jwt"]
        self._policy = admin.policy("shop-ci", self._rules)
        self._role: dict[str, Any] = json.loads(role) | {"token_policies": [self._policy]}
        issuer = {"jwt_validation_pubkeys": [self._tokens.issuer.public_key]}
        admin.must("POST", f"auth/{mount}/config", issuer)
        admin.must("POST", f"auth/{mount}/role/shop", self._role)

    def _check_out(self) -> None:
        for path, begins in {
            "confsync.yaml": "# confsync.yaml",
            "ci.yaml": "# ci.yaml",
            "conf.d/shop.yaml": "# conf.d/shop.yaml",
        }.items():
            (self.checkout / path).parent.mkdir(parents=True, exist_ok=True)
            (self.checkout / path).write_text(self._of(begins))
        (self.checkout / ".github").mkdir()
        _program(self.checkout / ".github/vault-token", self._of("#!/bin/sh\n# .github/vault-token"))
        _program(self.checkout / "smoke-test", '#!/bin/sh\necho "smoke $1"\n')
        _program(self.checkout / "integration-test", INTEGRATION_TEST)


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


class Tokens:
    """Where GitHub gives a job its token.

    Attributes:
        claims: what a token says besides for whom it is.
    """

    def __init__(self) -> None:
        self.issuer = JwtIssuer()
        self.claims = {"sub": "repo:example/shop:ref:refs/heads/main", "repository": "example/shop"}
        tokens = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query)
                known = self.headers["Authorization"] == "bearer of-this-job" and asked["api-version"] == [
                    "2.0"
                ]
                self.send_response(200 if known else 401)
                self.end_headers()
                self.wfile.write(json.dumps({"value": tokens.token(asked["audience"][0])}).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def variables(self) -> Mapping[str, str]:
        url = f"http://127.0.0.1:{self._server.server_port}/token?api-version=2.0"
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-this-job"}

    def token(self, audience: str) -> str:
        return self.issuer.token(aud=audience, **self.claims)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture(scope="module")
def locked_etcd() -> Iterator[EtcdCluster]:
    """It lets nobody in without a password."""
    with EtcdCluster(arguments=["--bcrypt-cost=4"]) as etcd:
        etcd.enable_auth()
        etcd.add_user("ci", "pw-of-etcd", "/staging/shop/", "/prod/shop/")
        yield etcd


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    tokens = Tokens()
    yield tokens
    tokens.close()


@pytest.fixture
def shop(tmp_path: Path, locked_etcd: EtcdCluster, vault: Vault, tokens: Tokens) -> Shop:
    return Shop(tmp_path, locked_etcd, vault, tokens)


def assert_no_secret(*texts: str) -> None:
    assert not [(secret, text) for secret in SECRETS for text in texts if secret in text]


# A pull request


def test_a_pull_request_is_checked_without_any_login(shop: Shop) -> None:
    for job in (shop.job("check.yml", "check"), shop.stage("check")):
        assert job.status == 0, job.log
        assert "ci.yaml is valid: 2 sources, 1 sync" in job.log
        assert "confsync.yaml is valid: 2 sources, 1 sync" in job.log


def test_a_pull_request_that_breaks_the_configuration_is_told_where(shop: Shop) -> None:
    file = shop.checkout / "conf.d/shop.yaml"
    file.write_text(file.read_text().replace("template:", "templat:"))

    job = shop.job("check.yml", "check")

    assert job.status == 3
    assert re.search(r"conf\.d/shop\.yaml:\d+:\d+: .*did you mean 'template'", job.log)


def test_a_pull_request_gets_a_comment_that_says_how_environments_differ(shop: Shop) -> None:
    job = shop.job("differences.yml", "differences")

    assert job.status == 0, job.log
    assert (shop.checkout / "gh.arguments").read_text() == "pr comment 17 --body-file differences.md\n"
    comment = (shop.checkout / "gh.body").read_text()
    assert "| `500ms` |" in comment
    assert "| differs | `vault:db#password` |" in comment
    assert_no_secret(comment, job.shown)


def test_a_fork_gets_no_token_and_its_job_is_not_run(shop: Shop) -> None:
    shop.github.context["github.event.pull_request.head.repo.full_name"] = "somebody/shop"

    assert shop.job("differences.yml", "differences").status is None


def test_a_comment_says_what_was_not_compared(shop: Shop) -> None:
    shop.github.context["secrets.ETCD_PASSWORD"] = "wrong"

    job = shop.job("differences.yml", "differences")

    assert job.status == 0
    comment = (shop.checkout / "gh.body").read_text()
    assert re.search("source .*etcd.* was not compared: .*check user and password", comment)


def test_without_a_login_there_is_no_comment(shop: Shop, tokens: Tokens) -> None:
    shop.github.context["secrets.ETCD_PASSWORD"] = "wrong"
    tokens.claims["repository"] = "somebody/shop"

    job = shop.job("differences.yml", "differences")

    assert job.status == 1
    assert not (shop.checkout / "gh.body").exists()


def test_a_merge_request_shows_how_environments_differ_and_passes_with_a_warning(shop: Shop) -> None:
    job = shop.stage("differences")

    assert (job.status, job.warning) == (2, True)
    assert "| differs | `vault:db#password` |" in (shop.checkout / "differences.md").read_text()
    assert_no_secret((shop.checkout / "differences.md").read_text(), job.log)


# A plan, an approval, the apply


@pytest.fixture
def deployed(shop: Shop) -> Shop:
    """Applied once; then a value was changed."""
    with_login = {"VAULT_ID_TOKEN": shop.id_token(), "ETCD_PASSWORD": "pw-of-etcd"}
    applied = shop.confsync("apply", "--config", "ci.yaml", **with_login)
    assert applied.returncode == 0, applied.stderr
    shop.put("/prod/shop/api/timeout", "2s")
    return shop


def test_what_was_approved_is_applied_and_then_there_is_nothing_to_approve(deployed: Shop) -> None:
    plan = deployed.job("deploy.yml", "plan")

    assert plan.status == 0, plan.log
    assert plan.outputs == {"status": "2"}
    assert f"~ update {deployed.target}  [checkout]\n" in plan.summary
    assert "timeout = 500ms" in deployed.target.read_text()
    apply = deployed.job("deploy.yml", "apply", plan=plan)
    assert apply.status == 0, apply.log
    assert "timeout = 2s" in deployed.target.read_text()
    again = deployed.job("deploy.yml", "plan")
    assert again.outputs == {"status": "0"}
    assert "nothing to do" in again.summary
    assert deployed.job("deploy.yml", "apply", plan=again).status is None
    assert_no_secret(plan.log, plan.summary, apply.log)


def test_what_was_not_approved_is_not_applied(deployed: Shop) -> None:
    plan = deployed.job("deploy.yml", "plan")
    deployed.put("/prod/shop/api/timeout", "9s")

    apply = deployed.job("deploy.yml", "apply", plan=plan)

    assert apply.status == 1
    moved = f"the world has moved since this plan was saved: 1 target differs: file:{deployed.target}"
    assert moved in apply.log
    assert "timeout = 500ms" in deployed.target.read_text()


def test_on_gitlab_a_plan_is_a_warning_and_is_applied_by_whoever_starts_it(deployed: Shop) -> None:
    plan = deployed.stage("plan")

    assert (plan.status, plan.warning) == (2, True)
    saved = (deployed.checkout / "shop.plan").read_text()
    assert str(deployed.target) in saved
    assert not [value for value in (*SECRETS, *VALUES.values(), "2s") if value in saved]
    apply = deployed.stage("apply", plan)
    assert apply.status == 0, apply.log
    assert "timeout = 2s" in deployed.target.read_text()
    assert_no_secret(plan.log, apply.log)


def test_there_is_no_plan_where_a_value_is_not_of_its_type(shop: Shop) -> None:
    shop.put("/prod/shop/api/timeout", "soon")

    job = shop.stage("plan")

    assert (job.status, job.warning) == (1, False)
    assert re.search("api/timeout is no duration", job.log)
    assert not (shop.checkout / "shop.plan").exists()


def test_the_first_apply_of_all_is_looked_at_before_too(shop: Shop) -> None:
    plan = shop.job("deploy.yml", "plan")
    assert (plan.status, plan.outputs) == (0, {"status": "2"})
    assert not shop.target.exists()

    apply = shop.job("deploy.yml", "apply", plan=plan)

    assert apply.status == 0, apply.log
    assert shop.target.exists()


# A release


def test_a_release_ends_where_environments_differ(shop: Shop) -> None:
    shop.put("/prod/shop/feature/express", "on")

    gate = shop.job("release.yml", "gate")

    assert gate.status == 2
    assert "| differs | `etcd:feature/express` | `off` | `on` |" in gate.summary
    assert "api/url" not in gate.summary
    assert shop.job("release.yml", "test", gate=gate).status is None
    job = shop.stage("gate")
    assert (job.status, job.warning) == (2, False)


def test_a_release_is_tested_with_an_environment(shop: Shop) -> None:
    gate = shop.job("release.yml", "gate")
    test = shop.job("release.yml", "test", gate=gate)

    assert (gate.status, test.status) == (0, 0), test.log
    assert "smoke https://pay.staging.example.com" in test.log
    assert (shop.checkout / "seen").read_text().splitlines() == [
        "url=https://pay.staging.example.com password=staging-pw",
        "token=none etcd=none",
    ]
    assert_no_secret(test.log)


def test_a_release_is_tested_with_an_environment_on_gitlab(shop: Shop) -> None:
    endpoints = shop.stage("endpoints")
    test = shop.stage("test", endpoints)

    assert (endpoints.status, test.status) == (0, 0), test.log
    assert endpoints.outputs == {"API_TIMEOUT": "5s", "API_URL": "https://pay.staging.example.com"}
    assert "smoke https://pay.staging.example.com" in test.log
    assert "password=staging-pw" in (shop.checkout / "seen").read_text()
    assert_no_secret(endpoints.log, test.log)


def test_github_masks_what_is_a_secret_before_any_step_has_it(shop: Shop) -> None:
    workflow = shop.workflow("release.yml")
    step = next(one for one in workflow["jobs"]["test"]["steps"] if "confsync env" in one.get("run", ""))
    step["run"] = step["run"].replace("staging api", "staging")
    workflow["jobs"]["gate"]["steps"] = [
        {"run": ".github/vault-token"}, step, {"run": 'echo "the password is $DB_PASSWORD"'}
    ]  # fmt: skip

    job = shop.github.run(workflow, "gate")

    assert job.status == 0, job.log
    assert "the password is staging-pw" in job.log
    assert "the password is ***" in job.shown
    assert_no_secret(job.shown)


def test_a_dotenv_report_takes_no_secret(shop: Shop) -> None:
    pipeline = shop.pipeline()
    script = pipeline["endpoints"]["script"]
    pipeline["endpoints"]["script"] = [line.replace("staging api", "staging") for line in script]

    job = shop.gitlab.run(pipeline, "endpoints")

    assert job.status == 1
    assert "DB_PASSWORD" in job.log
    assert (shop.checkout / "endpoints.env").read_text() == ""
    assert_no_secret(job.log)


def test_strictly_nothing_is_run_with_half_an_environment(shop: Shop) -> None:
    shop.deny("staging/shop/db")

    job = shop.stage("test")

    assert job.status == 1
    assert "denied" in job.log
    assert not (shop.checkout / "seen").exists()


def test_the_rules_for_laptops_bind_a_job_whose_file_has_them(shop: Shop) -> None:
    file = shop.checkout / "ci.yaml"
    file.write_text(file.read_text() + 'local: {staging: {deny: ["vault:*"]}}\n')

    job = shop.stage("test")

    assert job.status == 1
    assert 'local.staging.deny "vault:*"' in job.log
    assert not (shop.checkout / "seen").exists()


# Logging in


def test_only_the_repository_that_the_role_is_bound_to_is_let_in(shop: Shop, tokens: Tokens) -> None:
    tokens.claims["repository"] = "somebody/shop"

    job = shop.stage("gate")

    assert job.status == 1
    assert "bound_claims" in job.log
    assert_no_secret(job.log)


def test_a_role_may_be_bound_to_a_branch(shop: Shop, tokens: Tokens) -> None:
    shop.bind(ref="refs/heads/main")
    tokens.claims["ref"] = "refs/heads/main"
    of_main = shop.stage("gate")
    tokens.claims["ref"] = "refs/heads/mine"
    of_another = shop.stage("gate")

    assert (of_main.status, of_another.status) == (0, 1)


def test_what_lies_on_a_runner_is_not_taken_for_somebodys_own(shop: Shop) -> None:
    found = {
        "VAULT_TOKEN": "hvs.of-another",
        "ETCDCTL_USER": "another:pw",
        "VAULT_ADDR": "http://127.0.0.1:1",
    }
    login = {"VAULT_ID_TOKEN": shop.id_token(), "ETCD_PASSWORD": "pw-of-etcd"}
    words = ("env", "staging", "api", "--config", "ci.yaml")

    configured = shop.confsync(*words, CONFSYNC_CREDENTIALS="configured", **found, **login)
    personal = shop.confsync(*words, **found, **login)

    assert (configured.returncode, personal.returncode) == (0, 1)
    assert "API_URL=https://pay.staging.example.com\n" in configured.stdout


def test_the_other_commands_log_in_as_configured_in_any_case(shop: Shop) -> None:
    found = {"VAULT_TOKEN": "hvs.of-another", "ETCDCTL_USER": "another:pw"}
    login = {"VAULT_ID_TOKEN": shop.id_token(), "ETCD_PASSWORD": "pw-of-etcd"}

    plan = shop.confsync("plan", "--config", "ci.yaml", **found, **login)

    assert plan.returncode == 2, plan.stderr


def test_a_token_that_another_step_made_is_taken(shop: Shop) -> None:
    said = re.search(r"`(auth: \{method: token, env: VAULT_TOKEN\})`", PAGE)
    assert said is not None
    file = shop.checkout / "ci.yaml"
    file.write_text(re.sub(r"auth: \{.*\}", said[1], file.read_text()))

    plan = shop.confsync(
        "plan", "--config", "ci.yaml", VAULT_TOKEN=shop.vault_token(), ETCD_PASSWORD="pw-of-etcd"
    )

    assert plan.returncode == 2, plan.stderr


def test_every_job_of_the_page_is_run_here() -> None:
    workflows = [yaml.safe_load(text) for text in re.findall(r"^```yml\n(.*?)^```$", PAGE, re.M | re.S)]
    jobs = {f"{one['name']}.{name}" for one in workflows if "jobs" in one for name in one["jobs"]}
    pipeline = workflows[-1]

    assert jobs == {
        "check.check", "differences.differences", "deploy.plan", "deploy.apply", "release.gate", "release.test",
    }  # fmt: skip
    assert set(pipeline) - {"stages", "default", "variables"} == {
        "check", "differences", "plan", "apply", "gate", "endpoints", "test",
    }  # fmt: skip
