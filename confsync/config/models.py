"""What a user may write, as models: the one definition from which validation, JSON Schema and reference docs come."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from confsync.config.actions import Check, Reload, actions
from confsync.config.election import Election
from confsync.config.fields import IDENTIFIER, Model, nothing
from confsync.config.health import Health
from confsync.config.keys import Key
from confsync.config.kubernetes import (
    Cluster,
    KubernetesConfigMapTarget,
    KubernetesSecretTarget,
    data_key_problem,
)
from confsync.config.local import LocalPolicy
from confsync.fields import Duration, Mode, Size

Format = Literal[
    "dotenv", "json", "yaml", "toml", "ini", "properties", "tfvars",
    "shell", "fish", "powershell", "docker", "systemd",
]  # fmt: skip

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def _path_shorthand(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


class Ownership(Model):
    """Permissions of what is written."""

    mode: Annotated[
        Mode | None,
        Field(description='Permission bits, such as "0640". Without it 0600 where a sensitive value was read; '
                          "else what an existing file has, else 0644."),
    ] = None  # fmt: skip
    owner: Annotated[
        int | str | None, Field(description="User name or id. Without it what an existing file has.")
    ] = None
    group: Annotated[
        int | str | None, Field(description="Group name or id. Without it what an existing file has.")
    ] = None
    parents: Annotated[bool, Field(description="Create missing parent directories (0755).")] = False


class OnDisk(Ownership):
    """A target that has a path."""

    path: str

    @property
    def place(self) -> str:
        """Where it is."""
        return self.path

    @property
    def wording(self) -> tuple[str, ...]:
        """The texts that say where it is, any of which may be a template."""
        return (self.path,)


class FileTarget(OnDisk):
    """One file, replaced whole by rename."""

    kind: ClassVar[str] = "file"

    path: Annotated[
        str,
        Field(
            min_length=1,
            description="Absolute, or relative to the configuration. Under for_each a template: `{{ each.key }}`.",
        ),
    ]
    format: Annotated[
        Format | None, Field(description="How a data map is written; by default told by the path's ending.")
    ] = None
    backup: Annotated[bool, Field(description="Keep the previous content as PATH.bak.")] = False
    symlink: Annotated[
        Literal["refuse", "follow", "replace"],
        Field(
            description="What to do where PATH is a symbolic link: "
            "refuse, write the file it points to, or replace the link."
        ),
    ] = "refuse"
    in_place: Annotated[
        Literal["fallback", "never"],
        Field(
            description="Where rename cannot work (a bind-mounted single file): "
            "write in place, which a reader can see half-way, or fail."
        ),
    ] = "fallback"


class DirectoryTarget(OnDisk):
    """Several files switched at once by one symlink swap, as kubelet does for volumes."""

    kind: ClassVar[str] = "directory"

    path: Annotated[
        str, Field(min_length=1, description="The directory; every entry in it is a link through `..data`.")
    ]


TargetSpec = FileTarget | DirectoryTarget | KubernetesSecretTarget | KubernetesConfigMapTarget


class Target(Model):
    """Exactly one sink and what it writes."""

    file: (
        Annotated[FileTarget, BeforeValidator(_path_shorthand, json_schema_input_type=FileTarget | str)]
        | None
    ) = None
    directory: (
        Annotated[
            DirectoryTarget, BeforeValidator(_path_shorthand, json_schema_input_type=DirectoryTarget | str)
        ]
        | None
    ) = None

    kubernetes_secret: Annotated[
        KubernetesSecretTarget | None,
        Field(description="A Secret; its keys are those of templates and data."),
    ] = None
    kubernetes_config_map: Annotated[
        KubernetesConfigMapTarget | None,
        Field(description="A ConfigMap; what depends on a sensitive value is refused."),
    ] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self._given()) != 1:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self

    def _given(self) -> list[TargetSpec]:
        kinds = (self.file, self.directory, self.kubernetes_secret, self.kubernetes_config_map)
        return [spec for spec in kinds if spec is not None]

    @property
    def spec(self) -> TargetSpec:
        """The one that is set."""
        return self._given()[0]


class InlineTemplate(Model):
    """A template written in the configuration itself."""

    inline: Annotated[str, Field(description="The template's text.")]


class Literally(Model):
    """A value in a data map that is the same everywhere."""

    value: Annotated[str | int | float | bool, Field(description="The value itself.")]


class Composed(Model):
    """A value in a data map made by a template."""

    template: Annotated[
        str, Field(description="A Jinja2 expression or text, such as postgres://{{ etcd('db/host') }}/shop.")
    ]


DataValue = str | int | float | bool | Literally | Composed


class Wait(Model):
    """Coalescing of bursts: render after `min` of quiet, but at the latest `max` after the first event."""

    min: Annotated[Duration, Field(description="How long it must have been quiet.")] = 0.0
    max: Annotated[Duration, Field(description="The longest an event may wait.")] = 10.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError("max must not be less than min")
        return self


class Limits(Model):
    """What one render may use."""

    time: Annotated[Duration, Field(description="The longest a render may take.")] = 10.0
    memory: Annotated[
        Size, Field(description="The most a render may build up: its output, or any one value in it.")
    ] = 64 * 1024**2


_NAMES = {
    "directory": "its files", "kubernetes_secret": "its keys", "kubernetes_config_map": "its keys",
}  # fmt: skip


def _one_or_many(value: object) -> object:
    """A single target stands for a list of one, and a bare path for a file."""
    many = value if isinstance(value, list) else [value]
    return [{"file": one} if isinstance(one, str) else one for one in many]


class Sync(Model):
    """One desired binding: a template or data map, and the targets it keeps in agreement."""

    template: Annotated[
        str | InlineTemplate | None,
        Field(description="A file in the template directories, or {inline: text}."),
    ] = None
    templates: Annotated[
        dict[str, str | InlineTemplate] | None, Field(description="File name -> template, for a directory.")
    ] = None
    data: Annotated[
        dict[str, DataValue] | None,
        Field(
            description="Name -> `source:path`, a number or boolean, {value: literal} or {template: text}."
        ),
    ] = None
    vars: Annotated[dict[str, Any], Field(description="Constants, available to the templates as `vars`.")] = (
        Field(default_factory=dict)
    )
    for_each: Annotated[
        str | None,
        Field(
            description="An expression such as etcd.dirs('tenants'): "
            "one set of targets for each item, as `each.key` and `each.value`."
        ),
    ] = None
    to: Annotated[
        list[Target],
        BeforeValidator(_one_or_many, json_schema_input_type=list[Target | str] | Target | str),
        Field(min_length=1, description="The targets: one, or a list that succeeds or fails together."),
    ]
    environment: Annotated[
        str | None, Field(description="The environment to read; by default defaults.environment.")
    ] = None
    check: Annotated[
        list[Check],
        BeforeValidator(actions, json_schema_input_type=list[str] | Check | list[Check]),
        Field(description="Commands that must accept what is staged."),
    ] = Field(default_factory=nothing)
    reload: Annotated[
        list[Reload],
        BeforeValidator(actions, json_schema_input_type=list[str] | Reload | list[Reload]),
        Field(description="What to do after a change."),
    ] = Field(default_factory=nothing)
    interval: Annotated[
        Duration | None,
        Field(gt=0, description="How often to look whether the world agrees; by default defaults.interval."),
    ] = None
    wait: Annotated[
        Wait | None, Field(description="How to coalesce bursts of changes; by default defaults.wait.")
    ] = None
    limits: Annotated[
        Limits | None, Field(description="What a render may use; by default defaults.limits.")
    ] = None
    sensitive: Annotated[bool, Field(description="Treat the result as sensitive whatever was read.")] = False
    retain: Annotated[
        bool,
        Field(
            description="Leave targets that are no longer wanted instead of deleting what confsync created."
        ),
    ] = False

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        given = [name for name in ("template", "templates", "data") if getattr(self, name) is not None]
        if len(given) != 1 and given != ["templates", "data"]:
            raise ValueError("give exactly one of template, templates, data (or templates and data together)")
        several = next((target.spec for target in self.to if not target.file), None)
        if self.template is not None and several is not None:
            raise ValueError(f"a {several.kind} needs templates or data, which name {_NAMES[several.kind]}")
        if self.templates is not None and any(target.file for target in self.to):
            raise ValueError("templates make several files: use a directory target")
        keys = {**(self.templates or {}), **(self.data or {})}
        if any(target.kubernetes_secret or target.kubernetes_config_map for target in self.to):
            problem = next((problem for key in keys if (problem := data_key_problem(key))), None)
            if problem:
                raise ValueError(problem)
        if self.sensitive and any(target.kubernetes_config_map for target in self.to):
            raise ValueError("it is sensitive, and everybody may read a ConfigMap: use kubernetes_secret")
        both = (self.templates or {}).keys() & (self.data or {}).keys()
        if both:
            raise ValueError(f"{min(both)!r} is in templates and in data")
        return self


class Defaults(Model):
    """What syncs use that do not say otherwise."""

    environment: Annotated[str | None, Field(description="The environment to read.")] = None
    interval: Annotated[Duration, Field(gt=0, description="How often to look whether the world agrees.")] = (
        60.0
    )
    wait: Annotated[Wait, Field(description="How to coalesce bursts of changes.")] = Wait()
    limits: Annotated[Limits, Field(description="What a render may use.")] = Limits()


class MassDelete(Model):
    """The guard against a mass deletion: beyond both limits nothing is deleted until --allow-mass-delete."""

    percent: Annotated[float, Field(ge=0, le=100, description="Hold when more than this share would go.")] = (
        50.0
    )
    count: Annotated[int, Field(ge=0, description="And more than this many.")] = 3

    def exceeded(self, going: int, of: int) -> bool:
        """Whether losing `going` of `of` things is too much to be believed."""
        return going > self.count and going * 100 > self.percent * of


Revoke = Literal["unless_leased", "always", "never"]


class Source(BaseModel):
    """A configured backend. Besides these fields it takes the backend's own options."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    backend: Annotated[str, Field(description="The kind of store: a driver's name.")]
    sensitive: Annotated[
        bool | list[str] | None,
        Field(
            description="Whether its values are secrets: true, false, or a list of globs of paths; "
            "by default what the backend says. A source that is asked for one secret at a time (vault) has globs of "
            "`secret`, for all its fields, or `secret#field`. They hold however it is spelled: below an environment's "
            "prefix or from the root, with or without parameters. One read as a whole is sensitive if a field may be."
        ),
    ] = None

    revoke: Annotated[
        Revoke | None,
        Field(
            description="For sources one logs in to (vault): whether confsync at its end revokes the login it made, "
            "and with it every lease: unless_leased (the default), always, or never."
        ),
    ] = None
    keep_leases: Annotated[
        bool | None,
        Field(
            description="For sources with leases (vault): keep login and leases in the state directory, encrypted, so "
            "that a restart goes on with them."
        ),
    ] = None

    @model_validator(mode="after")
    def _keeps_or_revokes(self) -> Self:
        if self.keep_leases and self.revoke == "always":
            raise ValueError("keep_leases goes on with what revoke: always ends; choose one")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The backend's own options, not yet validated."""
        return dict(self.model_extra or {})


Prefixes = Annotated[
    list[str],
    BeforeValidator(
        lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=str | list[str]
    ),
    Field(min_length=1),
]


class Config(Model):
    """A whole configuration."""

    sources: Annotated[
        dict[Annotated[str, Field(pattern=IDENTIFIER)], Source],
        Field(description="Name -> a configured backend."),
    ] = Field(default_factory=dict)
    clusters: Annotated[
        dict[Annotated[str, Field(pattern=NAME)], Cluster],
        Field(
            description="Name -> a Kubernetes cluster; without it there is `default`, found as kubectl does."
        ),
    ] = Field(default_factory=dict)
    environments: Annotated[
        dict[Annotated[str, Field(pattern=NAME)], dict[str, Prefixes]],
        Field(description="Name -> source -> the prefix to read, or a list looked through in order."),
    ] = Field(default_factory=dict)
    local: Annotated[
        dict[Annotated[str, Field(pattern=NAME)], LocalPolicy],
        Field(
            description="Environment -> what of it may come down to a laptop (`confsync env`, `exec`); "
            "of one that is not here, all that whoever asks may read."
        ),
    ] = Field(default_factory=dict)
    keys: Annotated[
        dict[Annotated[str, Field(min_length=1)], Key],
        Field(
            description="[SOURCE:]KEY or glob -> what its value is. What is written out goes before globs, with its "
            "source before without, and a glob before those after it."
        ),
    ] = Field(default_factory=dict)
    defaults: Annotated[Defaults, Field(description="What syncs use that do not say otherwise.")] = Defaults()
    templates: Annotated[
        list[str],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        Field(description="Directories to look for templates in; the stock library comes last."),
    ] = Field(default_factory=lambda: ["templates"])
    mass_delete: Annotated[MassDelete, Field(description="The guard against mass deletion.")] = MassDelete()
    election: Annotated[
        Election | None,
        Field(description="Let one of several replicas of the daemon write, and the others stand by."),
    ] = None
    health: Annotated[
        Health | None, Field(description="Answer probes over HTTP; by default nobody listens.")
    ] = None
    state_dir: Annotated[
        str | None, Field(description="Where the ledger and caches live; `memory` keeps nothing.")
    ] = None
    syncs: Annotated[dict[Annotated[str, Field(pattern=NAME)], Sync], Field(description="Name -> sync.")] = (
        Field(default_factory=dict)
    )
