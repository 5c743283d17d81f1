"""The client certificate of the connection logs in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from confsync_backends.vault.auth.credentials import Credential
from confsync_backends.vault.auth.method import Advice, LoginMethod, Mount


class CertAuth(LoginMethod):
    """Log in with the certificate given as client_cert and client_key."""

    advice: ClassVar = Advice(
        "set client_cert and client_key to a certificate that a role trusts (vault list auth/{mount}/certs); "
        "a proxy that ends TLS in between takes it away"
    )

    method: Literal["cert"]
    role: Annotated[
        str | None, Field(min_length=1, description="Vault's role to log in as; any that fits if none.")
    ] = None
    mount: Annotated[Mount, Field(description="Where the method is mounted, below auth/.")] = "cert"

    def who(self) -> str:
        return f"role {self.role!r}" if self.role else "the client certificate"

    def credentials(self, base: Path) -> tuple[Credential, ...]:  # noqa: ARG002 - the connection has them
        return ()

    def body(self, *credentials: str) -> dict[str, Any]:  # noqa: ARG002
        return {"name": self.role} if self.role else {}
