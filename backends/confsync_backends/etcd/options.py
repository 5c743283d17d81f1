"""What a user writes under a source with `backend: etcd`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from confsync.driver import DriverOptions
from confsync.errors import Denied
from confsync.fields import Timespan
from confsync_backends.credential_file import read_line
from confsync_backends.etcd.endpoints import parse_endpoint
from confsync_backends.etcd.personal import Person


class Credential(BaseModel):
    """A secret kept elsewhere: in a file, or in an environment variable. Read again at every login."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    file: Annotated[
        str | None, Field(min_length=1, description="File that holds it; a final newline is dropped.")
    ] = None
    env: Annotated[str | None, Field(min_length=1, description="Environment variable that holds it.")] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("give exactly one of file, env")
        return self


Secret = SecretStr | Credential


def reveal(secret: Secret, base: Path) -> str:
    """The secret itself; relative files are relative to `base`.

    Raises:
        Denied: the file cannot be read, the variable is not set, or it is no text.
    """
    if isinstance(secret, SecretStr):
        return _text(secret.get_secret_value(), "it")
    if secret.env is not None:
        value = os.environ.get(secret.env)
        if value is None:
            raise Denied(f"no password: the environment variable {secret.env} is not set")
        return _text(value, f"${secret.env}")
    path = base / str(secret.file)
    try:
        return read_line(path)
    except (OSError, UnicodeDecodeError) as error:
        raise Denied(f"no password: {path} cannot be read: {_reason(error)}") from error


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # without the cause, which holds all of it
        raise Denied(f"no password: {where} is not UTF-8 text") from None
    return value


def _reason(error: OSError | UnicodeDecodeError) -> str:
    # A UnicodeDecodeError's own text quotes a byte of the secret.
    return error.strerror or "unreadable" if isinstance(error, OSError) else "it is not UTF-8 text"


class Tls(BaseModel):
    """Certificates. Files are read again for every new connection, so rotated ones are picked up."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    ca: Annotated[
        str | None, Field(description="File of CA certificates to trust instead of the system's.")
    ] = None
    cert: Annotated[str | None, Field(description="File of the client certificate and its chain.")] = None
    key: Annotated[str | None, Field(description="File of the client certificate's key.")] = None
    server_name: Annotated[
        str | None,
        Field(description="Name to look for in the server's certificate instead of the endpoint's host."),
    ] = None
    verify: Annotated[bool, Field(description="Always true: gRPC cannot leave the server unverified.")] = True

    @field_validator("verify")
    @classmethod
    def _must_verify(cls, verify: bool) -> bool:
        if not verify:
            raise ValueError(
                "gRPC cannot skip verification; set tls.ca to the CA of the server's certificate (or to the "
                "certificate itself where it is self-signed), and tls.server_name where its name is not the "
                "endpoint's host"
            )
        return verify

    @model_validator(mode="after")
    def _cert_has_key(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        return self


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class EtcdOptions(DriverOptions):
    """Options of an etcd source."""

    model_config = ConfigDict(hide_input_in_errors=True)

    endpoints: Annotated[
        list[str],
        BeforeValidator(_one_or_many, json_schema_input_type=list[str] | str),
        Field(min_length=1, description="Members' client URLs, such as https://etcd-1:2379; tried in turn."),
    ] = ["http://127.0.0.1:2379"]  # noqa: RUF012 - pydantic copies defaults
    discovery_srv: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Domain whose SRV records _etcd-client-ssl._tcp or _etcd-client._tcp name members.",
        ),
    ] = None
    user: Annotated[
        str | None, Field(min_length=1, description="User to log in as, where etcd's auth is enabled.")
    ] = None
    password: Annotated[
        Secret | None,
        Field(description="The user's password: text, {file: path} or {env: NAME}; read at every login."),
    ] = None
    tls: Annotated[Tls | None, Field(description="Certificates for https endpoints.")] = None
    timeout: Annotated[Timespan, Field(description="The longest a call may take.")] = 5.0
    dial_timeout: Annotated[Timespan, Field(description="The longest a connection attempt may take.")] = 2.0
    keepalive: Annotated[
        Timespan,
        Field(
            description="How long a watch may hear nothing before it asks for a sign of life. "
            "Unanswered within `timeout`, it is dead."
        ),
    ] = 10.0
    page_size: Annotated[
        int, Field(ge=1, description="The most keys asked for at once; fewer where values are large.")
    ] = 10_000

    _person: Person | None = None  # None: not for a person

    @field_validator("endpoints")
    @classmethod
    def _parse_endpoints(cls, urls: list[str]) -> list[str]:
        endpoints = [parse_endpoint(url) for url in urls]
        if len({endpoint.secure for endpoint in endpoints}) > 1:
            raise ValueError(
                "http and https are mixed; a cluster serves its clients one way, so write the same for all"
            )
        return list(dict.fromkeys(endpoint.url for endpoint in endpoints))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.discovery_srv and "endpoints" in self.model_fields_set:
            raise ValueError("give endpoints or discovery_srv, not both")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        if self.tls and not self.discovery_srv and self.endpoints[0].startswith("http:"):
            raise ValueError("tls is given, but the endpoints do not use it; write https://host:port")
        return self

    @property
    def place(self) -> str:
        """Where the cluster is: its endpoints, or what names them."""
        return f"SRV {self.discovery_srv}" if self.discovery_srv else ",".join(self.endpoints)

    @property
    def shown_address(self) -> str:
        """The place for messages, which tell what was taken of a person's."""
        return f"{self.place} ({self._person})" if self._person and self._person.taken else self.place

    def for_person(self, person: Person) -> Self:
        """The same for a person."""
        made = self.model_copy()
        made._person = person  # noqa: SLF001 - its own class
        return made

    @property
    def login_advice(self) -> str | None:
        """What a person can do about a login that has no credentials."""
        return None if self._person is None else self._person.login

    def advice(self, hint: str | None, *, unreachable: bool = False) -> str | None:
        """What to do about an error, by options; by variables for a person (see `Person.advice`)."""
        return hint if self._person is None else self._person.advice(hint, unreachable=unreachable)

    def advice_on(self, option: str) -> str | None:
        """What a person can do about a file that cannot be used."""
        return None if self._person is None else self.advice(f"set {option} to a file of this machine")
