"""The instance calls that make, show, start, stop and delete."""

from datetime import datetime

from gpuctl.sandbox.gcp import lifecycle
from gpuctl.sandbox.gcp.blueprint import draw
from gpuctl.sandbox.gcp.capacity import stock_out
from gpuctl.sandbox.gcp.disks import Disks
from gpuctl.sandbox.gcp.lifecycle import Lifecycle
from gpuctl.sandbox.gcp.listing import aggregated, page
from gpuctl.sandbox.gcp.operations import OperationFailed, Operations
from gpuctl.sandbox.gcp.project import Disk, Project, Vm
from gpuctl.sandbox.gcp.quotas import Quotas
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.wire import Json, Refusal, not_ready, path_of


class Instances:
    """Instances of all zones."""

    def __init__(
        self,
        project: Project,
        operations: Operations,
        quotas: Quotas,
        disks: Disks,
        life: Lifecycle,
    ) -> None:
        self._project = project
        self._operations = operations
        self._quotas = quotas
        self._disks = disks
        self._life = life

    def _refused(self, vm: Vm) -> OperationFailed | None:
        """Why it cannot run now: quota first, then capacity."""
        return self._quotas.exceeded(vm) or stock_out(self._project, vm)

    def insert(self, call: Call) -> Json:
        """Create and start. Quota and stock-outs come in the operation; the VM is gone then."""
        project = self._project
        zone = project.check_zone(call.path["zone"])
        plan = draw(project, self._disks, zone, call.body)
        vm = plan.vm
        error = self._refused(vm)
        project.vms[zone, vm.name] = vm
        project.every_vm.append(vm)
        vm.hidden = project.weather.lag
        for disk in plan.new_disks:
            self._disks.put(disk)
        self._disks.join(vm)
        self._life.prepare(vm, lifecycle.INSERT_SECONDS)
        return self._operations.begin(
            call,
            "insert",
            vm.body,
            f"zones/{zone}",
            seconds=lifecycle.INSERT_SECONDS,
            finish=lambda when: self._life.run(vm, when),
            undo=lambda when: self._undo(vm, when, plan.new_disks),
            error=error,
        )

    def _undo(self, vm: Vm, when: datetime, new: tuple[Disk, ...]) -> None:
        """A VM whose creation failed is gone, unless it was stopped by its user meanwhile."""
        if vm.status in ("PROVISIONING", "STAGING"):
            self._life.remove(vm, when, "failed", also=new)

    def get(self, call: Call) -> Json:
        """One instance."""
        return self._find(call).body

    def listed(self, call: Call) -> Json:
        """Those of a zone."""
        zone = self._project.check_zone(call.path["zone"])
        items = [vm.body for vm in self._visible() if vm.zone == zone]
        path = f"projects/{self._project.name}/zones/{zone}/instances"
        return page(call, items, "compute#instanceList", path)

    def aggregated_list(self, call: Call) -> Json:
        """Those of all zones."""
        scoped: dict[str, list[Json]] = {}
        for vm in self._visible():
            scoped.setdefault(f"zones/{vm.zone}", []).append(vm.body)
        return aggregated(
            self._project, call, "instances", "compute#instanceAggregatedList", scoped
        )

    def _visible(self) -> tuple[Vm, ...]:
        """All but those that listings do not show yet."""
        seen = []
        for vm in self._project.vms.values():
            if vm.hidden:
                vm.hidden -= 1
            else:
                seen.append(vm)
        return tuple(seen)

    def start(self, call: Call) -> Json:
        """Start one that is TERMINATED; nothing happens to one that runs."""
        vm = self._find(call)
        if vm.status == "STOPPING":
            raise not_ready(path_of(vm.body))
        if vm.status != "TERMINATED":
            return self._begin(call, "start", vm)
        error = self._refused(vm)
        self._life.prepare(vm, lifecycle.START_SECONDS)
        return self._operations.begin(
            call,
            "start",
            vm.body,
            f"zones/{vm.zone}",
            seconds=lifecycle.START_SECONDS,
            finish=lambda when: self._life.run(vm, when),
            undo=lambda _: self._life.give_up(vm),
            error=error,
        )

    def stop(self, call: Call) -> Json:
        """Stop one; nothing happens to one that is TERMINATED."""
        vm = self._find(call)
        if call.op_code is not None:
            return self._begin(call, "stop", vm)
        return self._operations.begin(
            call,
            "stop",
            vm.body,
            f"zones/{vm.zone}",
            seconds=lifecycle.STOP_SECONDS,
            finish=self._life.stop(vm),
        )

    def reset(self, call: Call) -> Json:
        """The hard reset of one that runs: its run goes on."""
        vm = self._find(call)
        if vm.status != "RUNNING":
            raise not_ready(path_of(vm.body))
        return self._begin(call, "reset", vm)

    def delete(self, call: Call) -> Json:
        """Delete one in any state, with its autoDelete disks."""
        vm = self._find(call)
        if vm.body["deletionProtection"]:
            raise Refusal(
                400,
                "invalidResourceUsage",
                f"Invalid resource usage: 'Resource {path_of(vm.body)} is protected against "
                "deletion. Set deletionProtection to false to delete it.'.",
            )
        if call.op_code is not None:
            return self._begin(call, "delete", vm)
        vm.body["status"] = "STOPPING"
        return self._operations.begin(
            call,
            "delete",
            vm.body,
            f"zones/{vm.zone}",
            seconds=lifecycle.DELETE_SECONDS,
            finish=lambda when: self._life.remove(vm, when, "user"),
        )

    def _begin(self, call: Call, kind: str, vm: Vm) -> Json:
        """An operation that changes nothing."""
        return self._operations.begin(call, kind, vm.body, f"zones/{vm.zone}", seconds=0.1)

    def _find(self, call: Call) -> Vm:
        return self._project.vm(call.path["zone"], call.path["instance"])
