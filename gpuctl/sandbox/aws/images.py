"""Public images as of autumn 2026 with their SSM parameters, and images made by the user."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gpuctl.sandbox.aws.filters import page
from gpuctl.sandbox.aws.inside import Inside
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Call, Handler, Moto, Shape
from gpuctl.sandbox.world import Metal, SandboxClock

AMAZON = "898082745236"
CANONICAL = "099720109477"
_DLAMI = "/aws/service/deeplearning/ami/x86_64/"
_UBUNTU = "/aws/service/canonical/ubuntu/server/"
_SECONDS_TO_IMAGE = 1.0
_MOST_BY_PATH = 10


@dataclass(frozen=True, slots=True)
class PublicImage:
    """An image that everybody may launch. `parameter` is its SSM parameter."""

    parameter: str
    name: str
    gb: int
    owner: str
    root: str = "/dev/sda1"

    def id(self, region: str) -> str:
        """Its id in a region: always the same."""
        digest = hashlib.sha256(f"{region}/{self.parameter}".encode()).hexdigest()
        return f"ami-0{digest[:16]}"


def _deep(kind: str, name: str, gb: int = 75, root: str = "/dev/sda1") -> PublicImage:
    return PublicImage(f"{_DLAMI}{kind}/latest/ami-id", f"{name} 20261015", gb, AMAZON, root)


def _ubuntu(release: str, disk: str, word: str) -> PublicImage:
    return PublicImage(
        f"{_UBUNTU}{release}/stable/current/amd64/hvm/ebs-{disk}/ami-id",
        f"ubuntu/images/hvm-ssd-{disk}/ubuntu-{word}-{release}-amd64-server-20261012",
        8,
        CANONICAL,
    )


PUBLIC = (
    _deep(
        "base-oss-nvidia-driver-gpu-ubuntu-22.04",
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04)",
    ),
    _deep(
        "base-oss-nvidia-driver-gpu-ubuntu-24.04",
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)",
    ),
    _deep(
        "base-oss-nvidia-driver-gpu-amazon-linux-2023",
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023)",
        root="/dev/xvda",
    ),
    _deep(
        "oss-nvidia-driver-gpu-pytorch-2.7-ubuntu-22.04",
        "Deep Learning OSS Nvidia Driver AMI GPU PyTorch 2.7 (Ubuntu 22.04)",
    ),
    _deep(
        "oss-nvidia-driver-gpu-pytorch-2.12-ubuntu-24.04",
        "Deep Learning OSS Nvidia Driver AMI GPU PyTorch 2.12 (Ubuntu 24.04)",
    ),
    _deep(
        "oss-nvidia-driver-gpu-pytorch-2.13-ubuntu-26.04",
        "Deep Learning OSS Nvidia Driver AMI GPU PyTorch 2.13 (Ubuntu 26.04)",
    ),
    _ubuntu("22.04", "gp2", "jammy"),
    _ubuntu("24.04", "gp3", "noble"),
)

_MADE = datetime(2026, 10, 15, 6, 0, tzinfo=UTC)


class Images:
    """The images an account can see."""

    def __init__(self, clock: SandboxClock, inside: Inside, moto: Moto, metal: Metal) -> None:
        self._clock, self._inside, self._moto, self._metal = clock, inside, moto, metal
        self._stocked: set[str] = set()

    def reset(self) -> None:
        """Only the public ones, again."""
        self._stocked.clear()

    def stock(self, region: str) -> None:
        """Put the public images into a region, the first time it is used."""
        if region in self._stocked:
            return
        self._stocked.add(region)
        for image in PUBLIC:
            facts = {
                "ami_id": image.id(region),
                "name": image.name,
                "description": image.name,
                "owner_id": image.owner,
                "owner_alias": "amazon",
                "public": True,
                "virtualization_type": "hvm",
                "architecture": "x86_64",
                "hypervisor": "xen",
                "image_location": f"amazon/{image.name}",
                "root_device_name": image.root,
                "creation_date": _MADE.replace(tzinfo=None),
            }
            self._inside.register(region, facts, (_mapping(image.root, image.gb),))

    def resolve(self, region: str, text: str | None) -> Shape:
        """The image of a launch, in DescribeImages' shape. Raises Refusal."""
        if not text:
            raise Refusal("MissingParameter", "The request must contain the parameter ImageId")
        if text.startswith("resolve:ssm:"):
            parameter = text.removeprefix("resolve:ssm:")
            text = self.parameters(region).get(parameter)
            if text is None:
                raise Refusal("InvalidParameterValue", f"Parameter {parameter} not found")
        found = self._moto.call(region, "DescribeImages", {"ImageIds": [text]}).get("Images", [])
        if not found:
            raise Refusal("InvalidAMIID.NotFound", f"The image id '[{text}]' does not exist")
        image: Shape = found[0]
        if image["State"] != "available":
            raise Refusal(
                "InvalidAMIID.Unavailable",
                f"The image id '[{text}]' is not available: its state is {image['State']}",
            )
        return image

    def parameters(self, region: str) -> Mapping[str, str]:
        """The public SSM parameters."""
        return {image.parameter: image.id(region) for image in PUBLIC}

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "ec2.CreateImage": self._create,
            "ec2.CopyImage": self._copy,
            "ec2.RegisterImage": self._register,
        }

    def _create(self, call: Call) -> Shape:
        params = dict(call.params)
        self._refuse_double(call.region, params.get("Name"))
        specs = params.pop("TagSpecifications", [])
        wanted = {one["ResourceType"]: one["Tags"] for one in specs}
        if "image" in wanted:
            params["TagSpecifications"] = [{"ResourceType": "image", "Tags": wanted["image"]}]
        answer = call.forward(params)
        made, instance = answer["ImageId"], self._inside.instance(call.region, params["InstanceId"])
        assert instance is not None  # noqa: S101 - moto has just made an image of it
        with suppress(KeyError):  # it never ran
            self._metal.keep_image(params["InstanceId"], made)
        volumes = self._inside.volumes(call.region)
        blocks = sorted(
            instance.block_device_mapping.items(),
            key=lambda item: item[0] != instance.root_device_name,
        )
        mappings = []
        for device, block in blocks:
            volume = volumes[block.volume_id]
            mapping = _mapping(device, volume.size, volume.volume_type, encrypted=volume.encrypted)
            if device != instance.root_device_name:
                taken = self._moto.call(call.region, "CreateSnapshot", {"VolumeId": volume.id})
                mapping["Ebs"]["SnapshotId"] = taken["SnapshotId"]
            mappings.append(mapping)
        self._finish(call.region, made, mappings, wanted.get("snapshot", []))
        return answer

    def _copy(self, call: Call) -> Shape:
        source_region = call.params["SourceRegion"]
        self.stock(source_region)
        self._refuse_double(call.region, call.params.get("Name"))
        wanted = {
            one["ResourceType"]: one["Tags"] for one in call.params.get("TagSpecifications", [])
        }
        answer = call.forward(call.params)
        self._metal.copy_image(call.params["SourceImageId"], answer["ImageId"])
        source = self._inside.image(source_region, call.params["SourceImageId"])
        assert source is not None  # noqa: S101 - moto has just copied it
        mappings = list(getattr(source, "sandbox_mappings", None) or source.block_device_mappings)
        self._finish(call.region, answer["ImageId"], mappings, wanted.get("snapshot", []))
        own = {one["Key"]: one["Value"] for one in wanted.get("image", [])}
        self._inside.tag(call.region, answer["ImageId"], own)
        return answer

    def _register(self, call: Call) -> Shape:
        answer = call.forward(call.params)
        given = call.params.get("BlockDeviceMappings") or [_mapping("/dev/sda1", 8)]
        image = self._inside.image(call.region, answer["ImageId"])
        assert image is not None  # noqa: S101 - moto has just registered it
        image.architecture = call.params.get("Architecture", "x86_64")
        full = [
            _mapping(
                one["DeviceName"], one["Ebs"].get("VolumeSize", 8), one["Ebs"].get("VolumeType")
            )
            for one in given
        ]
        self._inside.map_image(call.region, answer["ImageId"], full)
        return answer

    def _finish(
        self, region: str, image_id: str, mappings: Sequence[Shape], tags: Sequence[Any]
    ) -> None:
        self._inside.map_image(region, image_id, mappings)
        image = self._inside.image(region, image_id)
        assert image is not None  # noqa: S101
        named = {one["Key"]: one["Value"] for one in tags}
        for mapping in image.sandbox_mappings:
            self._inside.tag(region, mapping["Ebs"]["SnapshotId"], named)
        self._inside.set_image_state(region, image_id, "pending")
        self._clock.call_in(
            _SECONDS_TO_IMAGE,
            lambda: self._inside.set_image_state(region, image_id, "available"),
        )

    def _refuse_double(self, region: str, name: str | None) -> None:
        query = {"Owners": ["self"], "Filters": [{"Name": "name", "Values": [name or ""]}]}
        for image in self._moto.call(region, "DescribeImages", query).get("Images", []):
            raise Refusal(
                "InvalidAMIName.Duplicate",
                f"AMI name {name} is already in use by AMI {image['ImageId']}",
            )


def driver_of(image: Shape) -> str | None:
    """The NVIDIA driver that a vendor's image brings; an image of one's own has its files."""
    name = str(image.get("Name", ""))
    return "580.95.05 open" if "Nvidia Driver" in name else None


def _mapping(device: str, gb: int, kind: str | None = None, *, encrypted: bool = False) -> Shape:
    return {
        "DeviceName": device,
        "Ebs": {
            "VolumeSize": gb,
            "VolumeType": kind or "gp3",
            "DeleteOnTermination": True,
            "Encrypted": bool(encrypted),
        },
    }


class PublicParameters:
    """SSM's public parameters for images; every other parameter is moto's."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "ssm.GetParameter": self._one,
            "ssm.GetParameters": self._some,
            "ssm.GetParametersByPath": self._by_path,
        }

    def _one(self, call: Call) -> Shape:
        name = call.params.get("Name", "")
        value = self._images.parameters(call.region).get(name)
        if value is None:
            if name.startswith((_DLAMI, _UBUNTU)):
                raise Refusal("ParameterNotFound", "")
            return call.forward(call.params)
        return {"Parameter": _parameter(call.region, name, value)}

    def _some(self, call: Call) -> Shape:
        known = self._images.parameters(call.region)
        names = call.params.get("Names", [])
        ours = [_parameter(call.region, name, known[name]) for name in names if name in known]
        rest = [name for name in names if name not in known]
        answer: Shape = {"Parameters": [], "InvalidParameters": []}
        if rest:
            answer = call.forward({**call.params, "Names": rest})
        return {**answer, "Parameters": ours + answer["Parameters"]}

    def _by_path(self, call: Call) -> Shape:
        root = call.params.get("Path", "").rstrip("/") + "/"
        if not root.startswith(("/aws/service/deeplearning/", "/aws/service/canonical/")):
            return call.forward(call.params)
        deep = call.params.get("Recursive", False)
        found = [
            _parameter(call.region, name, value)
            for name, value in sorted(self._images.parameters(call.region).items())
            if name.startswith(root) and (deep or "/" not in name.removeprefix(root))
        ]
        chosen, token = page(found, call.params, _MOST_BY_PATH)
        return {"Parameters": chosen, **({"NextToken": token} if token else {})}


def _parameter(region: str, name: str, value: str) -> Shape:
    return {
        "Name": name,
        "Type": "String",
        "Value": value,
        "Version": 1,
        "LastModifiedDate": _MADE,
        "ARN": f"arn:aws:ssm:{region}::parameter{name}",
        "DataType": "aws:ec2:image",
    }
