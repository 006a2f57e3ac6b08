"""Instances and their lives: pending, running, stopped, terminated, each at its own time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from gpuctl.sandbox.aws.disks import Disks, TrueVolume
from gpuctl.sandbox.aws.inside import Inside
from gpuctl.sandbox.aws.spot import SpotRequests
from gpuctl.sandbox.aws.trail import Trail
from gpuctl.sandbox.world import Boot, Handle, Metal, Notice, SandboxClock

EndedBy = Literal["user", "guest", "provider", "console"]
"""Who ended a run: an API call, the guest's own shutdown, AWS (spot), somebody in the console."""

PENDING, RUNNING = ("pending", 0), ("running", 16)
SHUTTING_DOWN, TERMINATED = ("shutting-down", 32), ("terminated", 48)
STOPPING, STOPPED = ("stopping", 64), ("stopped", 80)

DELAY = 0.5
"""Sandbox seconds in every passing state."""
REMEMBERED = 3600.0
"""Sandbox seconds that a terminated instance stays visible."""


@dataclass(frozen=True, slots=True)
class Run:
    """One uninterrupted run: LaunchTime to the moment it was told to end."""

    started: datetime
    ended: datetime | None = None
    ended_by: EndedBy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueInstance:
    """What really happened to one instance: the emulator's own word, for tests."""

    id: str
    region: str
    zone: str
    type: str
    market: str
    """`spot` or `on-demand`."""
    state: str
    client_token: str
    spot_request: str | None
    tags: Mapping[str, str]
    runs: tuple[Run, ...]
    started: datetime
    ended: datetime | None
    """When it was terminated (the call, the notice's end), None while it exists."""
    ended_by: EndedBy | None
    volumes: tuple[TrueVolume, ...]


@dataclass(slots=True, kw_only=True)
class Instance:
    """An instance as the emulator keeps it."""

    boot: Boot
    token: str
    spot_request: str | None
    behaviour: str
    """`terminate` or `stop`: what the guest's own shutdown does."""
    vcpus: int
    volumes: tuple[str, ...]
    shows_tags: bool
    hidden: int = 0
    """Describe calls left that do not show it."""
    state: tuple[str, int] = PENDING
    runs: list[Run] = field(default_factory=list)
    ended: datetime | None = None
    ended_by: EndedBy | None = None
    final_tags: Mapping[str, str] | None = None
    plans: list[Handle] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The instance id."""
        return self.boot.id

    @property
    def region(self) -> str:
        """Where it is."""
        return self.boot.region


def _transition(by: EndedBy, at: datetime) -> str:
    """StateTransitionReason. The guest's own shutdown leaves no time in it, as recorded."""
    if by == "guest":
        return "User initiated"
    who = "Service" if by == "provider" else "User"
    return f"{who} initiated ({at:%Y-%m-%d %H:%M:%S} GMT)"


class Fleet:
    """Every instance that ever was, and what may happen to it."""

    def __init__(
        self,
        clock: SandboxClock,
        metal: Metal,
        inside: Inside,
        spot: SpotRequests,
        trail: Trail,
        disks: Disks,
    ) -> None:
        self._clock, self._metal, self._inside = clock, metal, inside
        self._spot, self._trail, self._disks = spot, trail, disks
        self._all: dict[str, Instance] = {}

    def reset(self) -> None:
        """End everything at once and forget it."""
        for instance in self._all.values():
            self._call_off(instance)
            self._metal.destroy(instance.id)
        self._all.clear()

    def get(self, instance_id: str) -> Instance | None:
        """One of them."""
        return self._all.get(instance_id)

    def all(self) -> Sequence[Instance]:
        """All, oldest first."""
        return tuple(self._all.values())

    def enter(self, instance: Instance) -> None:
        """A launch that AWS has accepted."""
        self._all[instance.id] = instance
        self._begin(instance)

    def start(self, instance: Instance) -> None:
        """Start a stopped one: a new run with its own LaunchTime and address."""
        self._inside.set_reason(instance.region, instance.id, "", "")
        self._inside.power(instance.region, instance.id, on=True)
        self._begin(instance)

    def _begin(self, instance: Instance) -> None:
        now = self._now()
        instance.runs.append(Run(now))
        self._inside.launched(instance.region, instance.id, now)
        self._show(instance, PENDING, "")
        self._inside.set_reason(instance.region, instance.id, "pending", "pending")
        self._later(instance, lambda: self._running(instance))

    def _running(self, instance: Instance) -> None:
        self._show(instance, RUNNING)
        self._inside.set_reason(instance.region, instance.id, "", "")
        boot = replace(instance.boot, tags=self.visible_tags(instance))
        self._metal.boot(boot, lambda: self._powered_off(instance))

    def visible_tags(self, instance: Instance) -> Mapping[str, str]:
        """What its metadata service says of tags: nothing unless the launch asked for it."""
        return self._inside.tags(instance.region, instance.id) if instance.shows_tags else {}

    def tags_changed(self, instance_id: str) -> None:
        """Tell a machine's metadata service."""
        instance = self._all.get(instance_id)
        if instance is not None and instance.state == RUNNING:
            self._metal.set_tags(instance.id, self.visible_tags(instance))

    def _powered_off(self, instance: Instance) -> None:
        if instance.state != RUNNING:
            return
        reason = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
        if instance.behaviour == "terminate":
            self.terminate(instance, "guest", reason)
        else:
            self.stop(instance, "guest", reason)

    def terminate(
        self,
        instance: Instance,
        by: EndedBy = "user",
        reason: tuple[str, str] = ("Client.UserInitiatedShutdown", "User initiated shutdown"),
        code: str = "instance-terminated-by-user",
    ) -> None:
        """End it. Harmless on one that is ending or has ended."""
        if instance.state in {SHUTTING_DOWN, TERMINATED}:
            return
        now = self._now()
        self._end_run(instance, now, by)
        instance.ended, instance.ended_by = now, by
        self._show(instance, SHUTTING_DOWN, _transition(by, now))
        self._inside.set_reason(instance.region, instance.id, reason[0], ": ".join(reason))
        self._spot.mark(instance.spot_request, code, closes=True)
        self._metal.power_off(instance.id)
        self._later(instance, lambda: self._terminated(instance, reason, now))

    def _terminated(self, instance: Instance, reason: tuple[str, str], at: datetime) -> None:
        instance.final_tags = self._inside.tags(instance.region, instance.id)
        self._inside.tear_down(instance.region, instance.id)
        self._disks.observe(instance.region)
        assert instance.ended_by is not None  # noqa: S101 - terminate() has set it
        self._show(instance, TERMINATED, _transition(instance.ended_by, at))
        self._inside.set_reason(instance.region, instance.id, reason[0], ": ".join(reason))
        self._metal.destroy(instance.id)
        region, name = instance.region, instance.id
        self._clock.call_in(REMEMBERED, lambda: self._inside.forget(region, name))

    def stop(
        self,
        instance: Instance,
        by: EndedBy = "user",
        reason: tuple[str, str] = ("Client.UserInitiatedShutdown", "User initiated shutdown"),
    ) -> None:
        """Stop it; its disks stay and cost."""
        now = self._now()
        self._end_run(instance, now, by)
        self._show(instance, STOPPING, _transition(by, now))
        self._inside.set_reason(instance.region, instance.id, reason[0], ": ".join(reason))
        self._metal.power_off(instance.id)
        self._later(instance, lambda: self._stopped(instance))

    def _stopped(self, instance: Instance) -> None:
        self._inside.power(instance.region, instance.id, on=False)
        self._show(instance, STOPPED)

    def interrupt(self, instance: Instance, notice_seconds: float, code: str) -> None:
        """AWS wants it back: a notice now, the end after so many sandbox seconds."""
        self._spot.mark(instance.spot_request, "marked-for-termination")
        at = self._now() + timedelta(seconds=notice_seconds)
        instance.plans.append(self._clock.call_at(at, lambda: self._evict(instance, code)))
        self._metal.notify(instance.id, Notice(kind="spot", at=at))

    def _evict(self, instance: Instance, code: str) -> None:
        if instance.state in {SHUTTING_DOWN, TERMINATED}:
            return
        self._trail.evicted(instance.region, instance.id)
        reason = ("Server.SpotInstanceTermination", "Spot instance termination")
        self.terminate(instance, "provider", reason, code)

    def rebalance(self, instance: Instance) -> None:
        """Tell it that an interruption has become likelier."""
        self._metal.notify(instance.id, Notice(kind="rebalance", at=self._now()))

    def console(self, instance: Instance) -> str:
        """Its console output."""
        return self._metal.console(instance.id)

    def truth(self) -> tuple[TrueInstance, ...]:
        """What really happened, oldest first."""
        return tuple(self._true(instance) for instance in self._all.values())

    def _true(self, instance: Instance) -> TrueInstance:
        tags = instance.final_tags
        return TrueInstance(
            id=instance.id,
            region=instance.region,
            zone=instance.boot.zone,
            type=instance.boot.type,
            market="spot" if instance.spot_request else "on-demand",
            state=instance.state[0],
            client_token=instance.token,
            spot_request=instance.spot_request,
            tags=self._inside.tags(instance.region, instance.id) if tags is None else tags,
            runs=tuple(instance.runs),
            started=instance.runs[0].started,
            ended=instance.ended,
            ended_by=instance.ended_by,
            volumes=self._disks.of(instance.volumes),
        )

    def _end_run(self, instance: Instance, now: datetime, by: EndedBy) -> None:
        last = instance.runs[-1]
        if last.ended is None:
            instance.runs[-1] = Run(last.started, now, by)

    def _show(
        self, instance: Instance, state: tuple[str, int], transition: str | None = None
    ) -> None:
        instance.state = state
        self._inside.set_state(instance.region, instance.id, state, transition)

    def _later(self, instance: Instance, action: Callable[[], None]) -> None:
        self._call_off(instance)
        instance.plans.append(self._clock.call_in(DELAY, action))

    def _call_off(self, instance: Instance) -> None:
        for handle in instance.plans:
            handle.cancel()
        instance.plans.clear()

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)
