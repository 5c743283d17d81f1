"""A pod's service account logs in with the token the kubelet mounted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from confsync_backends.vault.auth.credentials import Credential
from confsync_backends.vault.auth.method import Advice, LoginMethod, Mount, kept

_TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path


class KubernetesAuth(LoginMethod):
    """Log in as the pod's service account."""

    secrets: ClassVar = dict.fromkeys(
        ("token", "jwt", "password"), f"token_file: PATH (default {_TOKEN_FILE})"
    )
    advice: ClassVar = Advice(
        "check that the role exists and is bound to this pod's service account and namespace, that {where} is its "
        "token, and that Vault may review tokens (vault read auth/{mount}/config)",
        {
            "invalid role name": "see vault list auth/{mount}/role",
            "name not authorized": "bind the role to the service account: bound_service_account_names",
            "namespace not authorized": "bind the role to the namespace: bound_service_account_namespaces",
        },
    )

    method: Literal["kubernetes"]
    role: Annotated[str, Field(min_length=1, description="Vault's role to log in as.")]
    token_file: Annotated[
        str,
        Field(min_length=1, description="File of the service account's token; read again at every login."),
    ] = _TOKEN_FILE
    mount: Annotated[Mount, Field(description="Where the method is mounted, below auth/.")] = "kubernetes"

    def who(self) -> str:
        return f"role {self.role!r}"

    def credentials(self, base: Path) -> tuple[Credential, ...]:
        return (kept("service account token", base, self.token_file),)

    def read(self, credential: Credential) -> str:
        return credential.read_jwt()

    def body(self, *credentials: str) -> dict[str, Any]:
        return {"role": self.role, "jwt": credentials[0]}
