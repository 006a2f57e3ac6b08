"""The disks of a launch: the image's own, changed and completed by the request's."""

from collections.abc import Mapping, Sequence

from gpuctl.sandbox.aws.disks import GP3_IOPS, GP3_THROUGHPUT
from gpuctl.sandbox.aws.inside import VolumeFacts
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Shape

_NEEDS_IOPS = {"io1", "io2"}


def merge(image: Shape, asked: Sequence[Shape]) -> Mapping[str, Shape]:
    """Device name -> complete `Ebs` shape. Refusal for what AWS would not make."""
    root = image.get("RootDeviceName", "/dev/sda1")
    merged = {one["DeviceName"]: dict(one["Ebs"]) for one in image.get("BlockDeviceMappings", ())}
    for one in asked:
        device = one["DeviceName"]
        if "NoDevice" in one:
            merged.pop(device, None)
            continue
        given = one.get("Ebs", {})
        base = merged.get(device, {"DeleteOnTermination": device == root})
        _check_size(base, given)
        merged[device] = _joined(base, given)
    for device, ebs in merged.items():
        _check(device, ebs)
    return merged


def _joined(base: Shape, given: Shape) -> Shape:
    joined = {**base, **given}
    if "VolumeType" in given and given["VolumeType"] != base.get("VolumeType"):
        for number in ("Iops", "Throughput"):
            if number not in given:
                joined.pop(number, None)
    return joined


def _check_size(base: Shape, given: Shape) -> None:
    smallest, size = base.get("VolumeSize"), given.get("VolumeSize")
    if smallest and size and size < smallest:
        raise Refusal(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{base.get('SnapshotId')}', "
            f"expect size >= {smallest}GB",
        )


def _check(device: str, ebs: Shape) -> None:
    kind = ebs.setdefault("VolumeType", "gp2")
    if not ebs.get("VolumeSize"):
        raise Refusal(
            "MissingParameter",
            f"The request must contain the parameter size or snapshotId: {device}",
        )
    if kind in _NEEDS_IOPS and not ebs.get("Iops"):
        raise Refusal(
            "InvalidParameterCombination",
            f"The parameter iops must be specified for {kind} volumes.",
        )
    if ebs.get("Throughput") and kind != "gp3":
        raise Refusal(
            "InvalidParameterCombination",
            f"The parameter throughput is not supported for {kind} volumes.",
        )
    if kind == "gp3":
        ebs.setdefault("Iops", GP3_IOPS)
        ebs.setdefault("Throughput", GP3_THROUGHPUT)


def for_moto(merged: Mapping[str, Shape]) -> Sequence[Shape]:
    """What moto can make of it; `facts` is put on afterwards."""
    return [
        {
            "DeviceName": device,
            "Ebs": {
                "VolumeSize": ebs["VolumeSize"],
                "VolumeType": "gp3",
                "Encrypted": bool(ebs.get("Encrypted", False)),
            },
        }
        for device, ebs in merged.items()
    ]


def facts(merged: Mapping[str, Shape]) -> Mapping[str, VolumeFacts]:
    """What moto drops of each disk."""
    return {
        device: VolumeFacts(
            type=ebs["VolumeType"],
            iops=ebs.get("Iops"),
            throughput=ebs.get("Throughput"),
            snapshot=ebs.get("SnapshotId"),
            delete_on_termination=bool(ebs.get("DeleteOnTermination", True)),
        )
        for device, ebs in merged.items()
    }
