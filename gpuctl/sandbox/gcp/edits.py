"""The instance calls that change what it is: labels, metadata, tags, scheduling, type…"""

from collections.abc import Callable

from gpuctl.sandbox.gcp.blueprint import accelerators, access, machine_type
from gpuctl.sandbox.gcp.checks import check_labels, check_metadata, check_name
from gpuctl.sandbox.gcp.disks import Disks
from gpuctl.sandbox.gcp.guest import attributes, ssh_keys
from gpuctl.sandbox.gcp.operations import OperationFailed, Operations
from gpuctl.sandbox.gcp.project import Project, Vm, access_configs
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.scheduling import STOPPED_ONLY, complete
from gpuctl.sandbox.gcp.wire import (
    Json,
    Refusal,
    bad_request,
    fingerprint,
    invalid,
    path_of,
    required,
    stale,
)

_SECONDS = 0.2
_LABELS_CHANGED = "Labels fingerprint either invalid or resource labels have changed"
_METADATA_CHANGED = "Supplied fingerprint does not match current metadata fingerprint."
_TAGS_CHANGED = "Supplied fingerprint does not match current tags fingerprint."


class Edits:
    """Changes take hold when their operation is done, not when they are asked for."""

    def __init__(self, project: Project, operations: Operations, disks: Disks) -> None:
        self._project = project
        self._operations = operations
        self._disks = disks

    def set_labels(self, call: Call) -> Json:
        """Replace all labels."""
        vm, given = self._find(call), call.body.get("labelFingerprint")
        labels = check_labels(call.body.get("labels", {}))
        self._check(vm.body["labelFingerprint"], given, _LABELS_CHANGED)

        def change() -> None:
            self._recheck(vm.body["labelFingerprint"], given, _LABELS_CHANGED)
            vm.body.update(labels=labels, labelFingerprint=fingerprint(labels))

        return self._begin(call, "setLabels", vm, change)

    def set_metadata(self, call: Call) -> Json:
        """Replace all metadata; new ssh-keys and attributes reach a running guest at once."""
        vm, given = self._find(call), call.body.get("fingerprint")
        items = check_metadata(call.body.get("items", []))
        self._check(vm.body["metadata"]["fingerprint"], given, _METADATA_CHANGED)

        def change() -> None:
            self._recheck(vm.body["metadata"]["fingerprint"], given, _METADATA_CHANGED)
            before = ssh_keys(vm.body)
            vm.body["metadata"] = {"kind": "compute#metadata", "fingerprint": fingerprint(items)}
            if items:
                vm.body["metadata"]["items"] = items
            if vm.running is not None:
                self._project.metal.set_tags(vm.id, attributes(vm.body))
                if ssh_keys(vm.body) != before:
                    self._project.metal.authorize(vm.id, ssh_keys(vm.body)[1])

        return self._begin(call, "setMetadata", vm, change)

    def set_tags(self, call: Call) -> Json:
        """Replace the network tags."""
        vm, given = self._find(call), call.body.get("fingerprint")
        items = call.body.get("items", [])
        for index, tag in enumerate(items):
            check_name(tag, f"resource.items[{index}]")
        self._check(vm.body["tags"]["fingerprint"], given, _TAGS_CHANGED)

        def change() -> None:
            self._recheck(vm.body["tags"]["fingerprint"], given, _TAGS_CHANGED)
            tags: Json = {"fingerprint": fingerprint(items)}
            vm.body["tags"] = tags | ({"items": items} if items else {})

        return self._begin(call, "setTags", vm, change)

    def set_scheduling(self, call: Call) -> Json:
        """Change the fields given (null clears one). The time limit only while TERMINATED."""
        vm = self._find(call)
        merged = {k: v for k, v in vm.body["scheduling"].items() if k not in call.nulls} | call.body
        if "preemptible" not in call.body and "provisioningModel" in call.body:
            spot = call.body["provisioningModel"] == "SPOT"
            merged |= {
                "preemptible": spot,
                "automaticRestart": merged["automaticRestart"] and not spot,
            }
        new = complete(merged, vm.gpus)
        changed = [f for f in STOPPED_ONLY if new.get(f) != vm.body["scheduling"].get(f)]
        if changed and vm.status != "TERMINATED":
            raise bad_request(
                f"Scheduling field '{changed[0]}' can only be changed while the instance "
                f"'{path_of(vm.body)}' is TERMINATED."
            )

        def change() -> None:
            vm.body["scheduling"] = new

        return self._begin(call, "setScheduling", vm, change)

    def set_machine_type(self, call: Call) -> Json:
        """Another machine type, while TERMINATED; its own GPUs come and go with it."""
        vm = self._find(call)
        machine = machine_type(self._project, vm.zone, call.body.get("machineType"))
        if vm.status != "TERMINATED":
            raise bad_request(
                f"The machine type of '{path_of(vm.body)}' can only be changed "
                "while it is TERMINATED."
            )
        cards = [] if vm.machine.gpu else vm.body.get("guestAccelerators", [])
        gpu, gpus = accelerators(self._project, vm.zone, machine, cards)

        def change() -> None:
            vm.machine, vm.gpu, vm.gpus = machine, gpu, gpus
            place = f"zones/{vm.zone}"
            vm.body["machineType"] = self._project.link(f"{place}/machineTypes/{machine.name}")
            vm.body.pop("guestAccelerators", None)
            if gpu:
                link = self._project.link(f"{place}/acceleratorTypes/{gpu}")
                card = {"acceleratorType": link, "acceleratorCount": gpus}
                vm.body["guestAccelerators"] = [card]

        return self._begin(call, "setMachineType", vm, change)

    def set_deletion_protection(self, call: Call) -> Json:
        """Protected unless the parameter says false, as Google has it."""
        vm = self._project.vm(call.path["zone"], call.path["resource"])
        wanted = call.query.get("deletionProtection", "true") == "true"
        return self._begin(
            call, "setDeletionProtection", vm, lambda: vm.body.update(deletionProtection=wanted)
        )

    def add_access_config(self, call: Call) -> Json:
        """An external address for an interface that has none."""
        vm, interface = self._interface(call)
        if interface.get("accessConfigs"):
            raise invalid(
                "networkInterface", interface["name"], "At most one access config is allowed."
            )
        made = access(self._project, vm.zone, "resource", [call.body])

        def change() -> None:
            interface.update(made)
            if vm.running is not None:
                self._project.give_addresses(vm)

        return self._begin(call, "addAccessConfig", vm, change)

    def delete_access_config(self, call: Call) -> Json:
        """The external address goes; a reserved one is free again."""
        vm, interface = self._interface(call)
        name = call.query.get("accessConfig")
        if name is None:
            raise required("accessConfig")
        if name not in [config["name"] for config in interface.get("accessConfigs", [])]:
            raise invalid("accessConfig", name, "The access config does not exist.")

        def change() -> None:
            self._project.take_addresses(vm, gone=True)
            interface.pop("accessConfigs", None)
            if access_configs(vm) and vm.running is not None:
                self._project.give_addresses(vm)

        return self._begin(call, "deleteAccessConfig", vm, change)

    def attach_disk(self, call: Call) -> Json:
        """One more disk that is there already."""
        vm = self._find(call)
        entry = self._disks.attach(vm, call.body)

        def change() -> None:
            vm.body["disks"].append(entry)
            self._disks.join(vm)

        return self._begin(call, "attachDisk", vm, change)

    def detach_disk(self, call: Call) -> Json:
        """By its device name; the boot disk only while TERMINATED."""
        vm, device = self._find(call), call.query.get("deviceName")
        entry = next((d for d in vm.body["disks"] if d["deviceName"] == device), None)
        if entry is None:
            raise invalid("deviceName", device, "No attached disk found with this device name.")
        if entry["boot"] and vm.status != "TERMINATED":
            raise bad_request(
                "The boot disk can only be detached while the instance is TERMINATED."
            )

        def change() -> None:
            vm.body["disks"].remove(entry)
            self._disks.free(vm, entry)

        return self._begin(call, "detachDisk", vm, change)

    def get_serial_port_output(self, call: Call) -> Json:
        """Port 1's output from `start` on."""
        vm = self._find(call)
        start = int(call.query.get("start") or 0)
        contents = self._project.metal.console(vm.id) if call.query.get("port", "1") == "1" else ""
        return {
            "kind": "compute#serialPortOutput",
            "selfLink": f"{vm.body['selfLink']}/serialPort",
            "contents": contents[start:],
            "start": str(start),
            "next": str(max(start, len(contents))),
        }

    def get_guest_attributes(self, call: Call) -> Json:
        """`hostkeys/`, as the guest agent writes them when enable-guest-attributes is TRUE."""
        vm = self._find(call)
        if attributes(vm.body).get("enable-guest-attributes", "").upper() != "TRUE":
            raise Refusal(403, "forbidden", "Guest attributes endpoint access is disabled.")
        path = call.query.get("queryPath", "")
        namespace, _, wanted = path.partition("/")
        items = [
            {"namespace": "hostkeys", "key": key.split()[0], "value": key.split()[1]}
            for key in self._project.metal.host_keys(vm.id)
            if namespace in ("", "hostkeys") and wanted in ("", key.split()[0])
        ]
        if not items:
            words = f"The resource '{path}' of type 'Guest Attribute' was not found."
            raise Refusal(404, "notFound", words)
        return {
            "kind": "compute#guestAttributes",
            "selfLink": f"{vm.body['selfLink']}/guestAttributes/{path}",
            "queryPath": path,
            "queryValue": {"items": items},
        }

    def _check(self, present: str, given: str | None, words: str) -> None:
        if given != present:
            raise stale(words)

    def _recheck(self, present: str, given: str | None, words: str) -> None:
        """Two changes on the same fingerprint: the second fails in its operation."""
        if given != present:
            raise OperationFailed("CONDITION_NOT_MET", words)

    def _interface(self, call: Call) -> tuple[Vm, Json]:
        vm, name = self._find(call), call.query.get("networkInterface")
        for interface in vm.body["networkInterfaces"]:
            if interface["name"] == name:
                return vm, interface
        raise invalid("networkInterface", name, "The network interface does not exist.")

    def _begin(self, call: Call, kind: str, vm: Vm, change: Callable[[], None]) -> Json:
        return self._operations.begin(
            call,
            kind,
            vm.body,
            f"zones/{vm.zone}",
            seconds=_SECONDS,
            finish=lambda _: change(),
        )

    def _find(self, call: Call) -> Vm:
        return self._project.vm(call.path["zone"], call.path["instance"])
