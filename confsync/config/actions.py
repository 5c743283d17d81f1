"""What a user may write of checks and reloads."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from confsync.config.fields import Model
from confsync.fields import Duration


class HttpRequest(Model):
    """An HTTP request that tells a program to reload."""

    url: Annotated[str, Field(pattern=r"^https?://", description="Where to send it.")]
    method: Annotated[str, Field(pattern=r"^[A-Z]+$", description="The request method.")] = "POST"
    headers: Annotated[dict[str, str], Field(description="Headers to send.")] = Field(default_factory=dict)
    body: Annotated[str, Field(description="The request's body.")] = ""
    status: Annotated[
        list[int] | None, Field(description="Status codes that mean success; by default any 2xx.")
    ] = None
    verify: Annotated[bool, Field(description="Verify the server's TLS certificate.")] = True
    ca: Annotated[
        str | None, Field(description="File of CA certificates to trust instead of the system's.")
    ] = None


def _action_shorthand(value: object) -> object:
    return {"command": value} if isinstance(value, list) else value


class _Action(Model):
    command: Annotated[
        list[str] | None,
        Field(min_length=1, description="The program and its arguments; no shell sees them."),
    ] = None
    shell: Annotated[str | None, Field(description="A line for /bin/sh, where a shell is really wanted.")] = (
        None
    )

    def kinds(self) -> list[str]:
        """Which of the exclusive fields are set."""
        kinds = ("command", "shell", "signal", "systemd", "http")
        return [kind for kind in kinds if getattr(self, kind, None) is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.kinds()) != 1:
            allowed = [
                kind for kind in ("command", "shell", "signal", "systemd", "http") if hasattr(self, kind)
            ]
            raise ValueError(f"give exactly one of {', '.join(allowed)}")
        return self


class Check(_Action):
    """Runs on what is staged, before anything is replaced; a failure leaves every target as it was.

    In `command`, `{staged}` is the staged file (or directory) and `{path}` the target; a shell finds them in
    $CONFSYNC_STAGED and $CONFSYNC_PATH.
    """

    timeout: Annotated[Duration, Field(gt=0, description="After this the process group is killed.")] = 30.0

    @model_validator(mode="after")
    def _known_placeholders(self) -> Self:
        for argument in self.command or ():
            if re.fullmatch(r"\{[a-z_]+\}", argument) and argument not in ("{staged}", "{path}"):
                raise ValueError(f"there is no placeholder {argument}; there is {{staged}} and {{path}}")
        return self


class Reload(_Action):
    """Runs after targets changed, is owed until it succeeds, and runs once however many targets changed."""

    signal: Annotated[
        str | None,
        Field(pattern=r"^(SIG)?[A-Z0-9]+$", description="A signal to send, such as HUP; needs pid_file."),
    ] = None
    pid_file: Annotated[str | None, Field(description="File that holds the process id to signal.")] = None
    systemd: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9:_.@\\-]+$", description="A unit to reload-or-restart.")
    ] = None
    http: Annotated[HttpRequest | None, Field(description="An HTTP request to send.")] = None
    timeout: Annotated[Duration, Field(gt=0, description="After this the process group is killed.")] = 60.0

    @model_validator(mode="after")
    def _signal_has_pid_file(self) -> Self:
        if (self.signal is None) != (self.pid_file is None):
            raise ValueError("signal and pid_file belong together")
        return self


def actions(value: object) -> object:
    """One action in any of its short forms, or a list of them."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [{"command": value}]
    if isinstance(value, list):
        return [_action_shorthand(item) for item in value]
    return value
