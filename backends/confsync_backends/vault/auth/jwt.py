"""A JSON Web Token from elsewhere (a CI job, a workload identity) logs in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from confsync_backends.vault.auth.credentials import Credential
from confsync_backends.vault.auth.method import Advice, LoginMethod, Mount, kept


class JwtAuth(LoginMethod):
    """Log in with a JSON Web Token."""

    secrets: ClassVar = dict.fromkeys(("token", "jwt", "password"), "token_file: PATH or token_env: NAME")
    advice: ClassVar = Advice(
        "check that the role exists, that its bound_audiences, bound_subject and bound_claims fit the token in "
        "{where}, and that the token has not expired",
        {
            "could not be found": "see vault list auth/{mount}/role",
            "token is expired": "whoever issues the token in {where} must keep it fresh",
        },
    )

    method: Literal["jwt"]
    role: Annotated[
        str | None,
        Field(min_length=1, description="Vault's role to log in as; the method's default if none."),
    ] = None
    token_file: Annotated[
        str | None, Field(min_length=1, description="File that holds the token; read again at every login.")
    ] = None
    token_env: Annotated[
        str | None, Field(min_length=1, description="Environment variable that holds the token.")
    ] = None
    mount: Annotated[Mount, Field(description="Where the method is mounted, below auth/.")] = "jwt"

    @model_validator(mode="after")
    def _has_a_token(self) -> Self:
        return self._one_of("token_file", "token_env")

    def who(self) -> str:
        return f"role {self.role!r}" if self.role else "the default role"

    def credentials(self, base: Path) -> tuple[Credential, ...]:
        return (kept("JSON Web Token", base, self.token_file, self.token_env),)

    def read(self, credential: Credential) -> str:
        return credential.read_jwt()

    def body(self, *credentials: str) -> dict[str, Any]:
        return {"jwt": credentials[0]} | ({"role": self.role} if self.role else {})
