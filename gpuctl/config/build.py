"""Checked values -> the frozen settings. Nothing can be wrong any more when this runs."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gpuctl.config.keys import DISK_TYPES
from gpuctl.config.model import (
    AwsSettings,
    BudgetPolicy,
    ClientPolicy,
    Defaults,
    GcpSettings,
    Limits,
    Me,
    Notify,
    Ports,
    ProjectPolicy,
    Retainer,
    RunSettings,
    Settings,
    SyncSettings,
    Xero,
)

if TYPE_CHECKING:
    from gpuctl.config.template import Template

Tree = dict[str, Any]


def settings(tree: Tree) -> Settings:
    """The whole tree, defaults already in it."""
    clients = {name: _client(name, values) for name, values in _named(tree, "client")}
    projects = {
        f"{client}/{name}": _project(f"{client}/{name}", values)
        for client, client_values in _named(tree, "client")
        for name, values in _named(client_values, "project")
    }
    aws = tree.get("aws", {})
    return Settings(
        defaults=Defaults(**tree.get("defaults", {})),
        limits=Limits(**tree.get("limits", {})),
        aws=AwsSettings(**{**aws, "subnet": MappingProxyType(aws.get("subnet", {}))}),
        gcp=GcpSettings(**tree.get("gcp", {})),
        notify=Notify(**tree.get("notify", {})),
        xero=Xero(**tree.get("xero", {})),
        me=Me(**tree.get("me", {})),
        share_overhead=tree.get("overhead", {}).get("share", False),
        templates=_Templates(tree.get("template", {})),
        clients=MappingProxyType(clients),
        projects=MappingProxyType(projects),
        sync=SyncSettings(**tree.get("sync", {})),
        run=RunSettings(**tree.get("run", {})),
        ports=Ports(by_name=MappingProxyType(tree.get("ports", {}))),
    )


def _named(tree: Tree, key: str) -> list[tuple[str, Tree]]:
    return list(tree.get(key, {}).items())


class _Templates(Mapping[str, "Template"]):
    """Templates by name, each built when it is first asked for: a report needs none."""

    def __init__(self, trees: Mapping[str, Tree]) -> None:
        self._trees = trees
        self._built: dict[str, Template] = {}

    def __getitem__(self, name: str) -> "Template":
        if name not in self._built:
            self._built[name] = _template(name, self._trees[name])
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._trees)

    def __len__(self) -> int:
        return len(self._trees)


def _template(name: str, tree: Tree) -> "Template":
    from gpuctl.config.template import Checkpoint, Template  # noqa: PLC0415 - see _Templates
    from gpuctl.core.model import Accelerator, DataVolume, DiskSpec  # noqa: PLC0415

    values = dict(tree)
    kind = DISK_TYPES[values["provider"]]
    values["disk"] = DiskSpec(**{"type": kind, **values["disk"]})
    if "data" in values:
        data = {"type": kind, **values["data"]}
        disk = DiskSpec(gb=data["gb"], type=data["type"])
        values["data"] = DataVolume(name=data["name"], disk=disk, mount=data["mount"])
    if "gpu" in values:
        values["gpu"] = Accelerator(**values["gpu"])
    if "checkpoint" in values:
        values["checkpoint"] = Checkpoint(**values["checkpoint"])
    return Template(name=name, **values)


def _client(name: str, tree: Tree) -> ClientPolicy:
    values = {key: value for key, value in tree.items() if key not in ("name", "project", "cap")}
    if "retainer" in values:
        values["retainer"] = Retainer(**values["retainer"])
    cap = tree.get("cap", {}).get("month")
    return ClientPolicy(name=name, title=tree.get("name"), cap_month=cap, **values)


def _project(name: str, tree: Tree) -> ProjectPolicy:
    values = dict(tree)
    if "budget" in values:
        values["budget"] = BudgetPolicy(**values["budget"])
    values["tags"] = MappingProxyType(values.get("tags", {}))
    return ProjectPolicy(name=name, **values)
