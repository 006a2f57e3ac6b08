"""Reserved addresses, the default network, firewall rules."""

import ipaddress
from datetime import datetime

from gpuctl.sandbox.gcp.catalogue import ZONES
from gpuctl.sandbox.gcp.checks import check_name
from gpuctl.sandbox.gcp.listing import aggregated, page
from gpuctl.sandbox.gcp.operations import Operations
from gpuctl.sandbox.gcp.project import Address, Project
from gpuctl.sandbox.gcp.quotas import Quotas
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.wire import (
    ROOT,
    Json,
    already_exists,
    in_use,
    invalid,
    not_found,
    path_of,
    relative,
    required,
    stamp,
)

_SECONDS = 0.3
_SSH = 22


class Addresses:
    """Static external addresses of the regions."""

    def __init__(self, project: Project, operations: Operations, quotas: Quotas) -> None:
        self._project = project
        self._operations = operations
        self._quotas = quotas

    def insert(self, call: Call) -> Json:
        """Reserve one, or promote the ephemeral one given in `address`."""
        project = self._project
        region = project.check_region(call.path["region"])
        name = check_name(call.body.get("name"))
        path = f"regions/{region}/addresses/{name}"
        if (region, name) in project.addresses:
            raise already_exists(f"projects/{project.name}/{path}")
        now = project.now()
        body: Json = {
            "kind": "compute#address",
            "id": project.ids.number(),
            "creationTimestamp": stamp(now),
            "address": call.body.get("address") or project.public_address(),
            "addressType": "EXTERNAL",
            "networkTier": "PREMIUM",
            "ipVersion": "IPV4",
            "status": "RESERVED",
        } | call.body
        body |= {"selfLink": project.link(path), "region": project.link(f"regions/{region}")}
        address = Address(body, region, now)

        def finish(_: object) -> None:
            project.addresses[region, name] = address
            project.every_address.append(address)
            for vm in project.vms.values():
                if vm.running is not None:
                    project.give_addresses(vm)

        error = self._quotas.exceeded_by("STATIC_ADDRESSES", 1, region)
        return self._operations.begin(
            call, "insert", body, f"regions/{region}", seconds=_SECONDS, finish=finish, error=error
        )

    def get(self, call: Call) -> Json:
        """One address."""
        return self._find(call).body

    def listed(self, call: Call) -> Json:
        """Those of a region."""
        region = self._project.check_region(call.path["region"])
        items = [a.body for a in self._project.addresses.values() if a.region == region]
        path = f"projects/{self._project.name}/regions/{region}/addresses"
        return page(call, items, "compute#addressList", path)

    def aggregated_list(self, call: Call) -> Json:
        """Those of all regions."""
        scoped: dict[str, list[Json]] = {}
        for address in self._project.addresses.values():
            scoped.setdefault(f"regions/{address.region}", []).append(address.body)
        return aggregated(self._project, call, "addresses", "compute#addressAggregatedList", scoped)

    def delete(self, call: Call) -> Json:
        """Release one that nothing uses."""
        address = self._find(call)
        if address.body.get("users"):
            user = address.body["users"][0].removeprefix(ROOT)
            raise in_use("address", path_of(address.body), user)

        def finish(when: datetime) -> None:
            key = (address.region, str(address.body["name"]))
            if self._project.addresses.pop(key, None) is not None:
                address.deleted = when

        scope = f"regions/{address.region}"
        return self._operations.begin(
            call, "delete", address.body, scope, seconds=_SECONDS, finish=finish
        )

    def _find(self, call: Call) -> Address:
        region, name = self._project.check_region(call.path["region"]), call.path["address"]
        address = self._project.addresses.get((region, name))
        if address is None:
            raise not_found(f"projects/{self._project.name}/regions/{region}/addresses/{name}")
        return address


class Networks:
    """The default network, with one subnetwork a region."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def get(self, call: Call) -> Json:
        """The default one, or 404."""
        name = call.path["network"]
        if name != "default":
            raise not_found(f"projects/{self._project.name}/global/networks/{name}")
        return self._network()

    def listed(self, call: Call) -> Json:
        """The default one."""
        path = f"projects/{self._project.name}/global/networks"
        return page(call, [self._network()], "compute#networkList", path)

    def get_subnetwork(self, call: Call) -> Json:
        """The default one of a region, or 404."""
        region, name = self._project.check_region(call.path["region"]), call.path["subnetwork"]
        if name != "default":
            raise not_found(f"projects/{self._project.name}/regions/{region}/subnetworks/{name}")
        return self._subnetwork(region)

    def list_subnetworks(self, call: Call) -> Json:
        """The default one of a region."""
        region = self._project.check_region(call.path["region"])
        path = f"projects/{self._project.name}/regions/{region}/subnetworks"
        return page(call, [self._subnetwork(region)], "compute#subnetworkList", path)

    def _network(self) -> Json:
        return {
            "kind": "compute#network",
            "id": "1000000000000000001",
            "creationTimestamp": stamp(self._project.born),
            "name": "default",
            "autoCreateSubnetworks": True,
            "routingConfig": {"routingMode": "REGIONAL"},
            "subnetworks": [self._project.link(f"regions/{r}/subnetworks/default") for r in ZONES],
            "selfLink": self._project.link("global/networks/default"),
        }

    def _subnetwork(self, region: str) -> Json:
        index = list(ZONES).index(region)
        return {
            "kind": "compute#subnetwork",
            "id": f"100000000000000010{index}",
            "creationTimestamp": stamp(self._project.born),
            "name": "default",
            "network": self._project.link("global/networks/default"),
            "ipCidrRange": f"10.{128 + 2 * index}.0.0/20",
            "gatewayAddress": f"10.{128 + 2 * index}.0.1",
            "region": self._project.link(f"regions/{region}"),
            "selfLink": self._project.link(f"regions/{region}/subnetworks/default"),
        }


class Firewalls:
    """Firewall rules; one that opens port 22 to the world is put down in `violations`."""

    def __init__(self, project: Project, operations: Operations) -> None:
        self._project = project
        self._operations = operations

    def insert(self, call: Call) -> Json:
        """A new rule."""
        project = self._project
        name = check_name(call.body.get("name"))
        path = f"global/firewalls/{name}"
        if name in project.firewalls:
            raise already_exists(f"projects/{project.name}/{path}")
        body: Json = {
            "kind": "compute#firewall",
            "id": project.ids.number(),
            "creationTimestamp": stamp(project.now()),
            "direction": "INGRESS",
            "priority": 1000,
            "disabled": False,
        } | call.body
        body |= {"selfLink": project.link(path), "network": self._network(call.body)}
        self._check(body)
        return self._operations.begin(
            call,
            "insert",
            body,
            "global",
            seconds=_SECONDS,
            finish=lambda _: project.firewalls.update({name: body}),
        )

    def get(self, call: Call) -> Json:
        """One rule."""
        return self._find(call)

    def listed(self, call: Call) -> Json:
        """All rules."""
        path = f"projects/{self._project.name}/global/firewalls"
        return page(call, list(self._project.firewalls.values()), "compute#firewallList", path)

    def patch(self, call: Call) -> Json:
        """Change the fields given; lists are replaced whole."""
        present = self._find(call)
        changed = {k: v for k, v in present.items() if k not in call.nulls} | call.body
        if call.body.get("name", present["name"]) != present["name"]:
            raise invalid("resource.name", call.body["name"], "Name cannot be changed.")
        changed["network"] = self._network(changed)
        self._check(changed)

        def finish(_: object) -> None:
            present.clear()
            present.update(changed)

        return self._operations.begin(
            call, "patch", present, "global", seconds=_SECONDS, finish=finish
        )

    def delete(self, call: Call) -> Json:
        """A rule goes."""
        rule = self._find(call)

        def finish(_: object) -> None:
            self._project.firewalls.pop(rule["name"], None)

        return self._operations.begin(
            call, "delete", rule, "global", seconds=_SECONDS, finish=finish
        )

    def _network(self, body: Json) -> str:
        path = relative(body.get("network", "global/networks/default"), self._project.name)
        if path != f"projects/{self._project.name}/global/networks/default":
            raise not_found(path or str(body.get("network")))
        return self._project.link("global/networks/default")

    def _check(self, body: Json) -> None:
        rules = body.get("allowed", []) + body.get("denied", [])
        if not rules:
            raise required("resource.allowed")
        if body.get("allowed") and body.get("denied"):
            raise invalid("resource.denied", "", "Only one of allowed and denied can be specified.")
        for rule in rules:
            if not rule.get("IPProtocol"):
                raise required("resource.allowed[].IPProtocol")
        for source in body.get("sourceRanges", []):
            try:
                ipaddress.ip_network(source)
            except ValueError:
                why = "Must be a valid CIDR range."
                raise invalid("resource.sourceRanges", source, why) from None
        if body["direction"] == "INGRESS" and self._open(body):
            self._project.violations.append(f"firewall {body['name']} opens port 22 to the world")

    def _open(self, body: Json) -> bool:
        anyone = {"0.0.0.0/0", "::/0"} & set(body.get("sourceRanges", ["0.0.0.0/0"]))
        narrowed = body.get("sourceTags") or body.get("sourceServiceAccounts")
        if "sourceRanges" not in body and narrowed:
            return False
        return bool(anyone) and any(_reaches_ssh(rule) for rule in body.get("allowed", []))

    def _find(self, call: Call) -> Json:
        name = call.path["firewall"]
        rule = self._project.firewalls.get(name)
        if rule is None:
            raise not_found(f"projects/{self._project.name}/global/firewalls/{name}")
        return rule


def _reaches_ssh(rule: Json) -> bool:
    """Whether an allowed entry lets TCP port 22 through."""
    if rule["IPProtocol"].lower() not in ("tcp", "all", "6"):
        return False
    for ports in rule.get("ports") or ["0-65535"]:
        low, _, high = ports.partition("-")
        if int(low) <= _SSH <= int(high or low):
            return True
    return False
