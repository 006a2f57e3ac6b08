"""An instance's life: PROVISIONING, STAGING, RUNNING, STOPPING, TERMINATED, gone."""

from collections.abc import Callable
from datetime import datetime

from gpuctl.sandbox.gcp.disks import Disks
from gpuctl.sandbox.gcp.guest import boot_of
from gpuctl.sandbox.gcp.operations import OperationFailed, Operations
from gpuctl.sandbox.gcp.project import Disk, Period, Project, Vm
from gpuctl.sandbox.gcp.scheduling import ends_at
from gpuctl.sandbox.gcp.wire import stamp
from gpuctl.sandbox.world import Notice

INSERT_SECONDS = 1.0
START_SECONDS = 0.7
STOP_SECONDS = 0.7
DELETE_SECONDS = 0.7
PREEMPTION_SECONDS = 3.0
"""Between the notice and the end; Google gives up to 30, best effort."""
_STARTING = frozenset({"PROVISIONING", "STAGING"})


class Lifecycle:
    """Moves instances from state to state, and keeps their runs."""

    def __init__(self, project: Project, operations: Operations, disks: Disks) -> None:
        self._project = project
        self._operations = operations
        self._disks = disks

    def prepare(self, vm: Vm, seconds: float) -> None:
        """It is being started: addresses are given, STAGING comes on the way."""
        vm.body["status"] = "PROVISIONING"
        self._project.give_addresses(vm)
        self._project.after(self._project.now(), seconds / 2, lambda _: self._stage(vm))

    def _stage(self, vm: Vm) -> None:
        if vm.status == "PROVISIONING":
            vm.body["status"] = "STAGING"

    def run(self, vm: Vm, when: datetime) -> None:
        """It runs: the clock of billing and of its time limit starts here.

        OperationFailed when something else became of it meanwhile.
        """
        if vm.deleted is not None or vm.status not in _STARTING:
            words = f"Instance '{vm.name}' creation failed: it was stopped or deleted meanwhile."
            raise OperationFailed("UNSUPPORTED_OPERATION", words)
        vm.body.update(status="RUNNING", lastStartTimestamp=stamp(when))
        vm.runs.append(Period(when))
        self._arm(vm, when)
        boot = boot_of(vm, self._disks.image_of_boot(vm))
        self._project.metal.boot(boot, lambda: self._guest_off(vm))

    def _arm(self, vm: Vm, when: datetime) -> None:
        end = ends_at(vm.body["scheduling"], when)
        if end is None:
            return
        if vm.body["scheduling"]["provisioningModel"] == "SPOT" or not vm.preemptible:
            vm.body["resourceStatus"]["scheduling"]["terminationTimestamp"] = stamp(end)
        vm.limit = self._project.at(end, lambda due: self._expire(vm, due))

    def _expire(self, vm: Vm, when: datetime) -> None:
        """The time limit of the run is reached."""
        if vm.status != "RUNNING":
            return
        scheduling = vm.body["scheduling"]
        if "instanceTerminationAction" not in scheduling:
            self._preempted(vm, when)
            self._later(vm, when, STOP_SECONDS, self._halting(vm, "preempted"))
        elif scheduling["instanceTerminationAction"] == "DELETE":
            self._system("delete", vm, when, "Instance was deleted at the end of its run time.")
            self._later(
                vm, when, DELETE_SECONDS, lambda due: self.remove(vm, due, "max-run-duration")
            )
        else:
            self._system("stop", vm, when, "Instance was stopped at the end of its run time.")
            self._later(vm, when, STOP_SECONDS, self._halting(vm, "max-run-duration"))

    def _guest_off(self, vm: Vm) -> None:
        """The guest powered itself off."""
        if vm.status == "RUNNING":
            now = self._project.now()
            words = "Instance terminated by guest OS shutdown."
            self._system("compute.instances.guestTerminate", vm, now, words)
            self._later(vm, now, STOP_SECONDS, self._halting(vm, "guest"))

    def guest_off(self, vm: Vm) -> None:
        """For the knobs: as if the guest had powered itself off."""
        self._guest_off(vm)

    def preempt(self, vm: Vm, seconds: float) -> None:
        """Google takes the machine back. ValueError unless it is a running spot VM."""
        if vm.status != "RUNNING" or not vm.preemptible:
            raise ValueError(f"{vm.name} is not a running spot VM")
        now = self._project.now()
        self._preempted(vm, now)
        self._project.metal.notify(vm.id, Notice(kind="preempted", at=now))
        end = self._halting(vm, "preempted")
        if vm.body["scheduling"].get("instanceTerminationAction") == "DELETE":

            def end(due: datetime) -> None:
                self.remove(vm, due, "preempted")

        self._later(vm, now, seconds, end)

    def _preempted(self, vm: Vm, when: datetime) -> None:
        self._system("compute.instances.preempted", vm, when, "Instance was preempted.")

    def host_error(self, vm: Vm) -> None:
        """Its host fails; with automaticRestart it comes up again. ValueError unless running."""
        if vm.status != "RUNNING":
            raise ValueError(f"{vm.name} is not running")
        now = self._project.now()
        self._system(
            "compute.instances.hostError", vm, now, "Instance terminated by Compute Engine."
        )
        self.halt(vm, now, "host-error")
        if vm.body["scheduling"]["automaticRestart"]:
            words = "Instance automatically restarted by Compute Engine."
            self._system("compute.instances.automaticRestart", vm, now, words)
            self.prepare(vm, START_SECONDS)
            self._project.after(now, START_SECONDS, lambda due: self.run(vm, due))

    def halt(self, vm: Vm, when: datetime, ended_by: str) -> None:
        """It is TERMINATED: what it ran on is freed, its disks stay. Harmless when it is not up."""
        if vm.deleted is not None or vm.status == "TERMINATED":
            return
        self._end_run(vm, when, ended_by)
        vm.body.update(status="TERMINATED", lastStopTimestamp=stamp(when))
        self._project.take_addresses(vm, gone=False)
        self._project.metal.power_off(vm.id)
        self._project.metal.notify(vm.id, None)

    def remove(self, vm: Vm, when: datetime, ended_by: str, *, also: tuple[Disk, ...] = ()) -> None:
        """It is gone, with its autoDelete disks and those in `also`. Idempotent."""
        if vm.deleted is not None:
            return
        self._end_run(vm, when, ended_by)
        vm.deleted = when
        self._project.take_addresses(vm, gone=True)
        del self._project.vms[vm.zone, vm.name]
        for disk in self._disks.leave(vm, stamp(when), also=also):
            disk.deleted = when
        self._project.metal.destroy(vm.id)

    def _end_run(self, vm: Vm, when: datetime, ended_by: str) -> None:
        if vm.limit is not None:
            vm.limit.cancel()
            vm.limit = None
        vm.body["resourceStatus"]["scheduling"].pop("terminationTimestamp", None)
        run = vm.running
        if run is not None:
            run.stop, run.ended_by = when, ended_by

    def _halting(self, vm: Vm, ended_by: str) -> Callable[[datetime], None]:
        """An end for the run that goes on now, not for one begun in the meantime."""
        run = vm.running

        def end(due: datetime) -> None:
            if vm.running is run and vm.status == "STOPPING":
                self.halt(vm, due, ended_by)

        return end

    def stop(self, vm: Vm) -> Callable[[datetime], None]:
        """It is STOPPING; what is to be done at the end of that."""
        if vm.status != "TERMINATED":
            vm.body["status"] = "STOPPING"
        return self._halting(vm, "user")

    def give_up(self, vm: Vm) -> None:
        """A start came to nothing: TERMINATED as before, no run, no address."""
        if vm.deleted is None and vm.running is None:
            vm.body["status"] = "TERMINATED"
            self._project.take_addresses(vm, gone=False)

    def _later(
        self, vm: Vm, when: datetime, seconds: float, end: Callable[[datetime], None]
    ) -> None:
        vm.body["status"] = "STOPPING"
        self._project.after(when, seconds, end)

    def _system(self, kind: str, vm: Vm, when: datetime, message: str) -> None:
        self._operations.system(kind, vm.body, f"zones/{vm.zone}", when, message)
