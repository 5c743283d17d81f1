"""The auth methods there are: a new one is a module, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from confsync.text import did_you_mean
from confsync_backends.vault.auth.approle import AppRoleAuth
from confsync_backends.vault.auth.cert import CertAuth
from confsync_backends.vault.auth.jwt import JwtAuth
from confsync_backends.vault.auth.kubernetes import KubernetesAuth
from confsync_backends.vault.auth.method import AuthMethod
from confsync_backends.vault.auth.password import LdapAuth, UserpassAuth
from confsync_backends.vault.auth.token import TokenAuth

_METHODS = (
    TokenAuth
    | AppRoleAuth
    | KubernetesAuth
    | JwtAuth
    | UserpassAuth
    | LdapAuth
    | CertAuth
)  # fmt: skip


def method_names() -> list[str]:
    """What a user may write as `method`."""
    return [kind.model_fields["method"].annotation.__args__[0] for kind in _METHODS.__args__]


def _names_a_method(written: Any) -> Any:
    if isinstance(written, AuthMethod):
        return written
    if not isinstance(written, Mapping):
        raise ValueError("write for example {method: kubernetes, role: shop}")
    if "method" not in written:
        raise ValueError(f"method is missing; there is {', '.join(method_names())}")
    if written["method"] not in method_names():
        raise ValueError(
            f"there is no auth method {written['method']!r}{did_you_mean(str(written['method']), method_names())}"
        )
    return written


__all__ = ["Auth", "TokenAuth", "method_names"]

Auth = Annotated[_METHODS, Field(discriminator="method"), BeforeValidator(_names_a_method)]
"""What a user writes as `auth`."""
