"""What a user may write of leader election."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from confsync.config.fields import Model
from confsync.fields import Timespan
from confsync.units import format_duration

JITTER = 1.2
"""A pause is `retry` times anything from 1 to this; as client-go's JitterFactor, `renew` has to be longer."""

_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


class Election(Model):
    """Leader election among replicas that share targets: one writes, the others stand by.

    They agree by a coordination/v1 Lease. Every replica has to name the same cluster, namespace and lease.
    """

    cluster: Annotated[
        str | None, Field(description="One of `clusters`; by default the only one, or `default`.")
    ] = None
    namespace: Annotated[
        str | None,
        Field(pattern=_LABEL, description="The Lease's; by default $POD_NAMESPACE, or the pod's own."),
    ] = None
    lease: Annotated[str, Field(pattern=_NAME, description="The Lease's name.")] = "confsync"
    identity: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="Who this replica is, for people; by default $POD_NAME, or the host's name. "
            "A random ending makes it unique, so that two replicas with one configuration are two.",
        ),
    ] = None
    duration: Annotated[
        Timespan,
        Field(
            description="How long the others wait after the leader's last sign of life before one takes over. "
            "Whole seconds: the Lease has no others."
        ),
    ] = 15.0
    renew: Annotated[
        Timespan,
        Field(
            description="How long the leader may write after its last renewal. What it is shorter than "
            "`duration` is the margin for clocks that run at different speeds and writes under way."
        ),
    ] = 10.0
    retry: Annotated[Timespan, Field(description="How often the leader renews, and the others look.")] = 2.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.duration != int(self.duration):
            raise ValueError("duration: a Lease has whole seconds; write for example 15s")
        if self.duration <= self.renew:
            raise ValueError(
                f"renew ({format_duration(self.renew)}) has to be shorter than duration "
                f"({format_duration(self.duration)}): a leader stops writing before another may take over"
            )
        if self.renew <= self.retry * JITTER:
            raise ValueError(
                f"retry ({format_duration(self.retry)}) times {JITTER} has to be shorter than renew "
                f"({format_duration(self.renew)}): a leader needs time to renew"
            )
        return self
