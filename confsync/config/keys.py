"""What a user writes under `keys`: what a value is, whose it is, what it may be."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from confsync.config.fields import IDENTIFIER, Model

KeyType = Literal[
    "string", "integer", "number", "boolean", "host", "port", "address", "url", "email", "ip", "cidr",
    "duration", "size", "path", "json", "yaml", "base64", "pem",
]  # fmt: skip


class Key(Model):
    """The documentation of a key, or of all that a glob names."""

    about: Annotated[str | None, Field(description="What it is, and why it has the value it has.")] = None
    owner: Annotated[str | None, Field(description="Who answers for it.")] = None
    type: Annotated[
        KeyType | None,
        Field(
            description="What its value has to be; nothing is written with one that is not. "
            "`address` is host:port."
        ),
    ] = None
    one_of: Annotated[
        list[str] | None, Field(min_length=1, description="The values it may have; none other is written.")
    ] = None
    required: Annotated[
        bool | list[str],
        Field(
            description="Whether every environment has to have it, or which. "
            "Then no template's default stands in for it, and nothing is written without it."
        ),
    ] = False
    variable: Annotated[
        str | None,
        Field(
            pattern=IDENTIFIER,
            description="What `confsync env` and `exec` call it; by default `api/url` is API_URL.",
        ),
    ] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("say something of it: about, owner, type, one_of, required or variable")
        return self

    def required_in(self, environment: str | None) -> bool:
        """Whether `environment` has to have it."""
        return self.required if isinstance(self.required, bool) else environment in self.required

    @property
    def ask(self) -> str:
        """Whom to ask of it, and what it is, on one line: `ask team-db: the primary`; "" where neither is said."""
        about = " ".join((self.about or "").split())
        return ": ".join(filter(None, (self.owner and f"ask {self.owner}", about)))
