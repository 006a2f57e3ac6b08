"""Who may reach a machine: its keys in the metadata, one firewall rule of its own."""

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable
from datetime import datetime

from gpuctl.core.errors import Busy, InvalidRequest
from gpuctl.core.model import Access
from gpuctl.core.ports import NewId
from gpuctl.core.span import format_time, parse_time
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import Compute
from gpuctl.providers.gcp.errors import Json, Refused, Step
from gpuctl.providers.gcp.operations import Operations
from gpuctl.providers.gcp.request import request_id
from gpuctl.providers.gcp.translate import metadata_of

IAP = "35.235.240.0/20"
"""The only addresses that Google's own tunnel comes from."""
TRIES = 5
"""How often a stale fingerprint is read again before giving up."""
KEYS = "ssh-keys"
_LONGEST_NAME = 63
_OURS = re.compile(r"gpuctl machine (\S+) of (\S+) until (\S+)\Z")


def rule_name(install: str, vm: str) -> str:
    """Name of a machine's firewall rule, and of the tag that binds the two; 63 letters at most.

    A VM that gpuctl did not name may have so long a name that it is cut: what was cut is told by
    a hash, since two machines must not share a rule.
    """
    name = f"gpuctl-{install_tag(install)}-{vm}"
    if len(name) <= _LONGEST_NAME:
        return name
    mark = hashlib.sha256(vm.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 1 - len(mark)]}-{mark}"


def install_tag(install: str) -> str:
    """The part of names that tells installations apart: letters and digits, at most eight."""
    return re.sub(r"[^a-z0-9]", "", install.lower())[:8] or "x"


def describe(install: str, vm: str, until: datetime) -> str:
    """What the rule says of itself: rules carry no labels."""
    return f"gpuctl machine {vm} of {install} until {format_time(until)}"


def described(rule: Json) -> tuple[str, str, datetime] | None:
    """(machine, install, expiry) of a rule of ours, or None."""
    match = _OURS.match(rule.get("description") or "")
    if match is None:
        return None
    try:
        return match.group(1), match.group(2), parse_time(match.group(3))
    except ValueError:
        return None


def sources_of(access: Access) -> tuple[str, ...]:
    """What the rule lets in: single IPv4 addresses, or Google's tunnel and nothing else.

    Raises InvalidRequest for anything wider than one address, and when only IPv6 addresses are
    known: our VMs have none.
    """
    if access.tunnel is not None:
        if access.tunnel != "iap":
            raise InvalidRequest(f"{access.tunnel} is no tunnel of Google's", hint="tunnel = 'iap'")
        return (IAP,)
    networks = []
    for source in access.sources:
        network = ipaddress.ip_network(source, strict=True)
        if network.num_addresses != 1:
            raise InvalidRequest(f"{source} is more than one address: only /32 is let in")
        networks.append(network)
    v4 = sorted({str(network) for network in networks if network.version == 4})  # noqa: PLR2004
    if networks and not v4:
        raise InvalidRequest(
            "This machine has no IPv6 address and only IPv6 sources are known",
            hint="gpuctl up --ssh-from IPV4/32",
        )
    return tuple(v4)


def merged_keys(present: str, access: Access, install: str) -> str:
    """The `ssh-keys` item with our key in it, everybody else's kept."""
    mark = f"gpuctl-{install_tag(install)}"
    kept = [line for line in present.splitlines() if line.strip() and not line.endswith(mark)]
    kind, key = access.public_key.split()[:2]
    return "\n".join([*kept, f"{access.user}:{kind} {key} {mark}"])


def rule_of(install: str, vm: str, access: Access, network: str) -> Json | None:
    """The firewall rule of a machine; None = nobody is let in."""
    sources = sources_of(access)
    if not sources:
        return None
    name = rule_name(install, vm)
    return {
        "name": name,
        "network": network,
        "direction": "INGRESS",
        "priority": 1000,
        "sourceRanges": list(sources),
        "targetTags": [name],
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
        "description": describe(install, vm, access.expires),
    }


class Doors:
    """Opens and shuts: firewall rules, and changes of a VM that carry a fingerprint."""

    def __init__(
        self, compute: Compute, operations: Operations, install: str, new_id: NewId
    ) -> None:
        self._compute = compute
        self._operations = operations
        self._install = install
        self._new_id = new_id

    def open(self, vm: str, access: Access, network: str) -> None:
        """Let in exactly `access.sources`; whoever was let in before is shut out."""
        rule = rule_of(self._install, vm, access, network)
        if rule is None:
            self.shut(vm)
            return
        doing = f"letting you in to {vm}"
        try:
            self._change(Call.CREATE_FIREWALL, doing, rule)
        except Refused as refused:
            if refused.refusal.step is not Step.EXISTS:
                raise
            self._change(Call.UPDATE_FIREWALL, doing, rule, firewall=rule["name"])

    def shut(self, vm: str) -> None:
        """Take the machine's rule away; harmless when there is none."""
        self.erase(rule_name(self._install, vm))

    def erase(self, rule: str) -> None:
        """Take one rule away by name; harmless when there is none."""
        if self._compute.look(Call.GET_FIREWALL, doing="reading the firewall", firewall=rule):
            self._change(Call.DELETE_FIREWALL, f"removing {rule}", None, firewall=rule)

    def rules(self) -> Iterable[tuple[Json, tuple[str, str, datetime]]]:
        """Every rule that some gpuctl made, with what it says of itself."""
        for rule in self._compute.listed(Call.LIST_FIREWALLS, doing="listing firewall rules"):
            told = described(rule)
            if told is not None:
                yield rule, told

    def merge(self, zone: str, vm: str, call: Call, change: Callable[[Json], Json | None]) -> Json:
        """Change what carries a fingerprint: read, merge, set, again when it was stale.

        `change` gets the VM and answers the new body, or None when it is right already. The VM
        as last read comes back. Busy after `TRIES` rounds against somebody else.
        """
        doing = f"changing {vm}"
        for _ in range(TRIES):
            found = self._compute.read(Call.GET_VM, doing=doing, zone=zone, instance=vm)
            body = change(found)
            if body is None:
                return found
            try:
                self._change(call, doing, body, zone=zone, instance=vm)
            except Refused as refused:
                if refused.refusal.step is not Step.STALE:
                    raise
            else:
                return found
        raise Busy(f"{vm} is being changed by somebody else all the time", hint="try again")

    def admit_keys(self, zone: str, vm: str, access: Access) -> None:
        """Put our public key beside those that are there."""

        def keys(found: Json) -> Json | None:
            items = metadata_of(found)
            wanted = items | {KEYS: merged_keys(items.get(KEYS, ""), access, self._install)}
            return metadata_body(found, wanted)

        self.merge(zone, vm, Call.SET_METADATA, keys)

    def tag(self, zone: str, vm: str) -> None:
        """Bind the VM to its rule."""
        name = rule_name(self._install, vm)

        def tags(found: Json) -> Json | None:
            present = found.get("tags") or {}
            items = list(present.get("items") or ())
            if name in items:
                return None
            return {"items": [*items, name], "fingerprint": present.get("fingerprint")}

        self.merge(zone, vm, Call.SET_TAGS, tags)

    def _change(self, call: Call, doing: str, body: Json | None, **fields: str) -> None:
        self._operations.change(call, request_id(self._new_id()), doing=doing, body=body, **fields)


def metadata_body(vm: Json, wanted: dict[str, str]) -> Json | None:
    """The body that sets the metadata to `wanted`, or None when it is so already."""
    if metadata_of(vm) == wanted:
        return None
    items = [{"key": key, "value": value} for key, value in wanted.items()]
    return {"items": items, "fingerprint": (vm.get("metadata") or {}).get("fingerprint")}
