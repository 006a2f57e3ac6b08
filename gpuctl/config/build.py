"""Checked values -> the frozen settings. Nothing can be wrong any more when this runs."""

from types import MappingProxyType
from typing import Any

from gpuctl.config.keys import DISK_TYPES
from gpuctl.config.model import (
    AwsSettings,
    BudgetPolicy,
    Checkpoint,
    ClientPolicy,
    Defaults,
    GcpSettings,
    Limits,
    Notify,
    Ports,
    ProjectPolicy,
    Retainer,
    RunSettings,
    Settings,
    SyncSettings,
    Template,
)
from gpuctl.core.model import Accelerator, DataVolume, DiskSpec

Tree = dict[str, Any]


def settings(tree: Tree) -> Settings:
    """The whole tree, defaults already in it."""
    clients = {name: _client(name, values) for name, values in _named(tree, "client")}
    projects = {
        f"{client}/{name}": _project(f"{client}/{name}", values)
        for client, client_values in _named(tree, "client")
        for name, values in _named(client_values, "project")
    }
    templates = {name: _template(name, values) for name, values in _named(tree, "template")}
    aws = tree.get("aws", {})
    return Settings(
        defaults=Defaults(**tree.get("defaults", {})),
        limits=Limits(**tree.get("limits", {})),
        aws=AwsSettings(**{**aws, "subnet": MappingProxyType(aws.get("subnet", {}))}),
        gcp=GcpSettings(**tree.get("gcp", {})),
        notify=Notify(**tree.get("notify", {})),
        templates=MappingProxyType(templates),
        clients=MappingProxyType(clients),
        projects=MappingProxyType(projects),
        sync=SyncSettings(**tree.get("sync", {})),
        run=RunSettings(**tree.get("run", {})),
        ports=Ports(by_name=MappingProxyType(tree.get("ports", {}))),
    )


def _named(tree: Tree, key: str) -> list[tuple[str, Tree]]:
    return list(tree.get(key, {}).items())


def _template(name: str, tree: Tree) -> Template:
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
