"""Which URL is which call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gpuctl.sandbox.gcp.wire import Json


@dataclass(frozen=True, slots=True)
class Route:
    """One call: its name, its HTTP verb, its path with the names in braces."""

    method: str
    verb: str
    template: str
    pattern: re.Pattern[str]

    @property
    def message(self) -> str:
        """The client library's request type: `InsertInstanceRequest`, `ListDisksRequest`."""
        noun, _, verb = self.method.partition(".")
        noun = noun[0].upper() + noun[1:]
        if verb not in ("list", "aggregatedList"):
            noun = noun.removesuffix("es") if noun == "Addresses" else noun.removesuffix("s")
        return f"{verb[0].upper()}{verb[1:]}{noun}Request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A checked request. `nulls` are the body's fields sent as null (= clear it)."""

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Json
    nulls: frozenset[str] = frozenset()
    op_code: str | None = None
    """The error its operation is to end with."""
    op_status: int | None = None

    def flag(self, name: str) -> bool:
        """A boolean query parameter; absent is false."""
        return self.query.get(name) == "true"


_TABLE = """
projects.get                     GET    .
zones.get                        GET    zones/{zone}
zones.list                       GET    zones
regions.get                      GET    regions/{region}
regions.list                     GET    regions
machineTypes.get                 GET    zones/{zone}/machineTypes/{machine_type}
machineTypes.list                GET    zones/{zone}/machineTypes
machineTypes.aggregatedList      GET    aggregated/machineTypes
acceleratorTypes.get             GET    zones/{zone}/acceleratorTypes/{accelerator_type}
acceleratorTypes.list            GET    zones/{zone}/acceleratorTypes
acceleratorTypes.aggregatedList  GET    aggregated/acceleratorTypes
diskTypes.get                    GET    zones/{zone}/diskTypes/{disk_type}
diskTypes.list                   GET    zones/{zone}/diskTypes
images.get                       GET    global/images/{image}
images.getFromFamily             GET    global/images/family/{family}
images.list                      GET    global/images
images.insert                    POST   global/images
images.delete                    DELETE global/images/{image}
images.setLabels                 POST   global/images/{resource}/setLabels
images.getIamPolicy              GET    global/images/{resource}/getIamPolicy
images.setIamPolicy              POST   global/images/{resource}/setIamPolicy
instances.insert                 POST   zones/{zone}/instances
instances.get                    GET    zones/{zone}/instances/{instance}
instances.list                   GET    zones/{zone}/instances
instances.aggregatedList         GET    aggregated/instances
instances.delete                 DELETE zones/{zone}/instances/{instance}
instances.start                  POST   zones/{zone}/instances/{instance}/start
instances.stop                   POST   zones/{zone}/instances/{instance}/stop
instances.reset                  POST   zones/{zone}/instances/{instance}/reset
instances.setLabels              POST   zones/{zone}/instances/{instance}/setLabels
instances.setMetadata            POST   zones/{zone}/instances/{instance}/setMetadata
instances.setTags                POST   zones/{zone}/instances/{instance}/setTags
instances.setScheduling          POST   zones/{zone}/instances/{instance}/setScheduling
instances.setMachineType         POST   zones/{zone}/instances/{instance}/setMachineType
instances.setDeletionProtection  POST   zones/{zone}/instances/{resource}/setDeletionProtection
instances.addAccessConfig        POST   zones/{zone}/instances/{instance}/addAccessConfig
instances.deleteAccessConfig     POST   zones/{zone}/instances/{instance}/deleteAccessConfig
instances.attachDisk             POST   zones/{zone}/instances/{instance}/attachDisk
instances.detachDisk             POST   zones/{zone}/instances/{instance}/detachDisk
instances.getSerialPortOutput    GET    zones/{zone}/instances/{instance}/serialPort
instances.getGuestAttributes     GET    zones/{zone}/instances/{instance}/getGuestAttributes
zoneOperations.get               GET    zones/{zone}/operations/{operation}
zoneOperations.list              GET    zones/{zone}/operations
zoneOperations.wait              POST   zones/{zone}/operations/{operation}/wait
zoneOperations.delete            DELETE zones/{zone}/operations/{operation}
regionOperations.get             GET    regions/{region}/operations/{operation}
regionOperations.list            GET    regions/{region}/operations
regionOperations.wait            POST   regions/{region}/operations/{operation}/wait
regionOperations.delete          DELETE regions/{region}/operations/{operation}
globalOperations.get             GET    global/operations/{operation}
globalOperations.list            GET    global/operations
globalOperations.wait            POST   global/operations/{operation}/wait
globalOperations.delete          DELETE global/operations/{operation}
globalOperations.aggregatedList  GET    aggregated/operations
disks.insert                     POST   zones/{zone}/disks
disks.get                        GET    zones/{zone}/disks/{disk}
disks.list                       GET    zones/{zone}/disks
disks.aggregatedList             GET    aggregated/disks
disks.delete                     DELETE zones/{zone}/disks/{disk}
disks.setLabels                  POST   zones/{zone}/disks/{resource}/setLabels
snapshots.insert                 POST   global/snapshots
snapshots.get                    GET    global/snapshots/{snapshot}
snapshots.list                   GET    global/snapshots
snapshots.delete                 DELETE global/snapshots/{snapshot}
addresses.insert                 POST   regions/{region}/addresses
addresses.get                    GET    regions/{region}/addresses/{address}
addresses.list                   GET    regions/{region}/addresses
addresses.aggregatedList         GET    aggregated/addresses
addresses.delete                 DELETE regions/{region}/addresses/{address}
networks.get                     GET    global/networks/{network}
networks.list                    GET    global/networks
subnetworks.get                  GET    regions/{region}/subnetworks/{subnetwork}
subnetworks.list                 GET    regions/{region}/subnetworks
firewalls.insert                 POST   global/firewalls
firewalls.get                    GET    global/firewalls/{firewall}
firewalls.list                   GET    global/firewalls
firewalls.patch                  PATCH  global/firewalls/{firewall}
firewalls.delete                 DELETE global/firewalls/{firewall}
"""


def _route(line: str) -> Route:
    method, verb, tail = line.split()
    root = "/compute/v1/projects/{project}"
    template = root if tail == "." else f"{root}/{tail}"
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template) + r"\Z")
    return Route(method, verb, template, pattern)


ROUTES: tuple[Route, ...] = tuple(_route(line) for line in _TABLE.strip().splitlines())
METHODS: frozenset[str] = frozenset(route.method for route in ROUTES)


def find_route(verb: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The call that a verb and a path mean, with the names in the path; None when none does."""
    for route in ROUTES:
        match = route.pattern.match(path) if route.verb == verb else None
        if match is not None:
            return route, match.groupdict()
    return None
