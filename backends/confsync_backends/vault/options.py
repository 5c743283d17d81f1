"""What a user writes under a source with `backend: vault`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from confsync.driver import DriverOptions
from confsync.fields import Size, Timespan
from confsync_backends.vault.auth.method import AuthMethod
from confsync_backends.vault.auth.options import Auth
from confsync_backends.vault.auth.token import TokenAuth

# The variables of Vault's own clients, which stand in for what is not written.
# https://developer.hashicorp.com/vault/docs/commands#configure-environment-variables
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "address": ("VAULT_ADDR",),
    "namespace": ("VAULT_NAMESPACE",),
    "ca_cert": ("VAULT_CACERT",),
    "ca_path": ("VAULT_CAPATH",),
    "client_cert": ("VAULT_CLIENT_CERT",),
    "client_key": ("VAULT_CLIENT_KEY",),
    "tls_server_name": ("VAULT_TLS_SERVER_NAME",),
    "proxy": ("VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY"),
}
_FILES = frozenset({"ca_cert", "ca_path", "client_cert", "client_key"})
CONNECTION = _FILES | {"tls_server_name", "proxy", "verify"}
"""What is about the connection to one address, so that for another one it means nothing."""
_TRUE = frozenset({"1", "t", "true"})
_NAMESPACE = re.compile(r"[^\s\x00-\x1f\x7f-\U0010ffff]+")


@dataclass(frozen=True, slots=True)
class Taken:
    """That options are for a person, and what was taken of theirs.

    Attributes:
        text: what was taken, for messages; "" for nothing.
        movable: whether a $VAULT_ADDR, which is not set, would take the place of the address.
    """

    text: str = ""
    movable: bool = True


class Mount(BaseModel):
    """What is mounted at a path, for tokens that may not look it up."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    type: Annotated[
        str, Field(min_length=1, description="The secrets engine's type: kv, database, pki, transit...")
    ]
    version: Annotated[
        Literal[1, 2] | None, Field(description="kv only: which version of it; 2 unless written.")
    ] = None

    @model_validator(mode="after")
    def _only_kv_has_versions(self) -> Self:
        if self.version is not None and self.type != "kv":
            raise ValueError(f"version is for kv; a mount of type {self.type} has none")
        return self


class VaultOptions(DriverOptions):
    """Options of a vault source. What is not written is taken from Vault's usual environment variables."""

    model_config = ConfigDict(hide_input_in_errors=True)

    address: Annotated[
        str, Field(min_length=1, description="Vault's URL, such as https://vault:8200. Default: $VAULT_ADDR.")
    ] = "http://127.0.0.1:8200"
    auth: Annotated[Auth, Field(description="How to log in.")] = TokenAuth()
    namespace: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Namespace that all paths are in (Enterprise, OpenBao). Default: $VAULT_NAMESPACE.",
        ),
    ] = None
    ca_cert: Annotated[
        str | None,
        Field(
            min_length=1,
            description="File of CA certificates to trust instead of the system's. Default: $VAULT_CACERT.",
        ),
    ] = None
    ca_path: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Directory of such files, hashed as by `openssl rehash`. Default: $VAULT_CAPATH.",
        ),
    ] = None
    client_cert: Annotated[
        str | None,
        Field(
            min_length=1,
            description="File of the client certificate and its chain. Default: $VAULT_CLIENT_CERT.",
        ),
    ] = None
    client_key: Annotated[
        str | None,
        Field(min_length=1, description="File of the client certificate's key. Default: $VAULT_CLIENT_KEY."),
    ] = None
    tls_server_name: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Name to look for in Vault's certificate instead of the address's host. "
            "Default: $VAULT_TLS_SERVER_NAME.",
        ),
    ] = None
    verify: Annotated[
        bool,
        Field(
            description="False takes any certificate for Vault's, so that whoever is in between reads every secret; "
            "every message about this source then says so. Default: false where $VAULT_SKIP_VERIFY is true."
        ),
    ] = True
    proxy: Annotated[
        SecretStr | None,
        Field(
            description="URL of an HTTP proxy, maybe with user and password. "
            "Default: $VAULT_PROXY_ADDR, $VAULT_HTTP_PROXY, then $HTTPS_PROXY and its like."
        ),
    ] = None
    timeout: Annotated[
        Timespan,
        Field(
            description="How long one request waits for a free connection and an answer. An answer that has begun is "
            "given up at its first piece after that, or at a pause as long. A read that must log in, or look its "
            "mount up, makes several requests."
        ),
    ] = 10.0
    concurrency: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="The most calls, and connections, at the same time; a quarter of them, at most two, are kept "
            "for logins, renewals and lookups.",
        ),
    ] = 8
    max_reply: Annotated[Size, Field(gt=0, description="The longest reply that is read.")] = 32 * 2**20
    mounts: Annotated[
        dict[str, Mount],
        Field(
            description="Mount path -> what is there, where the token may not ask sys/internal/ui/mounts, "
            "such as {secret: {type: kv, version: 2}}."
        ),
    ] = {}  # noqa: RUF012 - pydantic copies defaults

    _taken: Taken | None = None  # None: not for a person

    @model_validator(mode="before")
    @classmethod
    def _from_variables(cls, written: Any) -> Any:
        if not isinstance(written, Mapping):
            return written
        filled = {**found_variables(written), **written}
        if "verify" not in filled and (_variable("VAULT_SKIP_VERIFY") or "").lower() in _TRUE:
            filled["verify"] = False
        return filled

    @field_validator("address")
    @classmethod
    def _address_is_a_url(cls, address: str) -> str:
        return parse_address(address)

    @field_validator("namespace")
    @classmethod
    def _namespace_is_a_header(cls, namespace: str | None) -> str | None:
        if namespace is None:
            return None
        trimmed = namespace.strip("/")
        if not _NAMESPACE.fullmatch(trimmed):
            raise ValueError("a namespace is a path such as team/app, of visible ASCII characters")
        return trimmed

    @field_validator("proxy")
    @classmethod
    def _proxy_is_a_url(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None and not re.match(r"https?://[^/\s]", proxy.get_secret_value()):
            raise ValueError("write a proxy as http://host:port")
        return proxy

    @field_validator("mounts")
    @classmethod
    def _mounts_are_paths(cls, mounts: dict[str, Mount]) -> dict[str, Mount]:
        return {_mount_path(path): mount for path, mount in mounts.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("client_cert and client_key belong together")
        if self.auth.method == "cert" and self.client_cert is None:
            raise ValueError("auth: {method: cert} needs client_cert and client_key")
        if self.ca_cert is not None and self.ca_path is not None:
            raise ValueError("give ca_cert or ca_path, not both")
        return self

    @property
    def shown_address(self) -> str:
        """The address for messages, which tell it where nothing is verified, and what was taken of a person's."""
        notes = [self._taken.text] if self._taken and self._taken.text else []
        if self.address.startswith("https:") and not self.verify:
            notes.append("certificate NOT verified")
        return f"{self.address} ({', '.join(notes)})" if notes else self.address

    def taking(self, auth: AuthMethod, taken: Taken) -> Self:
        """The same for a person, who logs in by `auth`."""
        made = self.model_copy(update={"auth": auth})
        made._taken = taken  # noqa: SLF001 - its own class
        return made

    def advice_on(self, files: str) -> str | None:
        """What a person can do about files that cannot be used."""
        return (
            None
            if self._taken is None
            else self.advice(f"set {files} to files of this machine", unreachable=False)
        )

    def advice(self, hint: str | None, *, unreachable: bool) -> str | None:
        """What to do where there was no answer: a person is told variables, for the configuration is others' too.

        Args:
            hint: what to do by options.
            unreachable: whether nothing was there at the address.
        """
        if self._taken is None:
            return hint
        if unreachable and self._taken.movable:
            return "set VAULT_ADDR to its address from this machine"
        return hint and re.sub(rf"\b({'|'.join(VARIABLES)})\b", lambda match: VARIABLES[match[0]][0], hint)


def parse_address(address: str) -> str:
    """The URL without what follows its path.

    Raises:
        ValueError: not such a URL; the text says what to write.
    """
    if not address.isprintable() or " " in address:
        raise ValueError("an address has no blanks and no control characters; write https://host:8200")
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise ValueError("write Vault's address as https://host:8200") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write Vault's address as https://host:8200")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an address has no user, query or fragment; write https://host:8200")
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _mount_path(path: str) -> str:
    trimmed = path.strip("/")
    if not trimmed or not trimmed.isprintable() or "//" in trimmed:
        raise ValueError(f"mounts: {path!r} is no mount path; write for example secret or team/kv")
    return trimmed + "/"


def found_variables(written: Mapping[str, Any]) -> dict[str, str]:
    """What the environment says, by field, but for fields that one which is written sets aside."""
    found = {name: _variable(*names) for name, names in VARIABLES.items()}
    for together in (("ca_cert", "ca_path"), ("client_cert", "client_key")):
        if any(name in written for name in together):
            found |= dict.fromkeys(together)
    if found["ca_cert"]:
        found["ca_path"] = None  # as Vault's own clients choose
    return {name: _from_here(name, value) for name, value in found.items() if value is not None}


def _from_here(name: str, value: str) -> str:
    # Relative to where the process runs, as for Vault's own clients; what is written is relative to its file.
    return os.path.abspath(value) if name in _FILES else value


def _variable(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)
