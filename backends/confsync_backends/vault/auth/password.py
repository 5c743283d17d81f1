"""A user and a password: Vault's own users, or those of an LDAP directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from confsync_backends.vault.auth.credentials import Credential
from confsync_backends.vault.auth.method import Advice, LoginMethod, Mount, kept


class _PasswordAuth(LoginMethod):
    secrets: ClassVar = {"password": "password_file: PATH or password_env: NAME"}
    advice: ClassVar = Advice(
        "check username and the password in {where}; Vault locks a user out for a while after too many wrong ones"
    )

    username: Annotated[str, Field(min_length=1, description="User to log in as.")]
    password_file: Annotated[
        str | None,
        Field(
            min_length=1,
            description="File that holds the password; a final newline is dropped. Read again at every login.",
        ),
    ] = None
    password_env: Annotated[
        str | None, Field(min_length=1, description="Environment variable that holds the password.")
    ] = None

    @model_validator(mode="after")
    def _has_a_password(self) -> Self:
        return self._one_of("password_file", "password_env")

    def path(self) -> str:
        return f"auth/{self.mount}/login/{self.username}"

    def who(self) -> str:
        return f"user {self.username!r}"

    def is_a_persons(self, base: Path) -> bool:
        return all(credential.is_here() for credential in self.credentials(base))

    def credentials(self, base: Path) -> tuple[Credential, ...]:
        return (kept("password", base, self.password_file, self.password_env),)

    def body(self, *credentials: str) -> dict[str, Any]:
        return {"password": credentials[0]}


class UserpassAuth(_PasswordAuth):
    """Log in as one of Vault's own users."""

    method: Literal["userpass"]
    mount: Annotated[Mount, Field(description="Where the method is mounted, below auth/.")] = "userpass"


class LdapAuth(_PasswordAuth):
    """Log in as a user of an LDAP directory."""

    method: Literal["ldap"]
    mount: Annotated[Mount, Field(description="Where the method is mounted, below auth/.")] = "ldap"
