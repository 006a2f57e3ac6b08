"""AWS as the verbs see it: each promise is kept by the module its method names."""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from gpuctl.core.answers import read_as, reading
from gpuctl.core.errors import GpuctlError, NotFound
from gpuctl.core.images.making import ImageOrder, Taken
from gpuctl.core.images.stored import StoredImage
from gpuctl.core.kinds import Priced
from gpuctl.core.model import (
    Access,
    Check,
    Down,
    Ending,
    Footprint,
    Leftover,
    Machine,
    MachineId,
    Offer,
    Order,
    PricePoint,
    Want,
)
from gpuctl.core.ports import Clock, Sleep
from gpuctl.core.span import Span, format_time
from gpuctl.providers.aws import (
    access,
    console,
    doctor,
    ending,
    footprint,
    forgotten,
    launch,
    leftovers,
    machines,
    making,
    offers,
    prices,
    reaper,
    shelf,
    spot,
    tags,
    translate,
)
from gpuctl.providers.aws.client import Clients, pages, part
from gpuctl.providers.aws.errors import translated
from gpuctl.providers.aws.settings import AwsSettings

log = logging.getLogger(__name__)

_YOUNG = timedelta(minutes=5)
"""How long EC2 may take to show what it launched (developer guide, eventual consistency)."""
_SETTLING = (2.0, 4.0, 8.0, 16.0)


class AwsProvider:
    """One AWS account. Implements `gpuctl.core.ports.Provider`; safe to use from threads."""

    def __init__(
        self, settings: AwsSettings, clients: Clients, *, clock: Clock, sleep: Sleep
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._clock = clock
        self._sleep = sleep
        self._account: str | None = None
        self._asking = threading.Lock()
        self._launched: dict[str, datetime] = {}

    @property
    def name(self) -> str:
        """`aws`."""
        return translate.NAME

    @property
    def account(self) -> str:
        """The twelve digits of the account that pays; asks STS, once."""
        with self._asking:
            if self._account is None:
                doing = "asking who we are"
                with translated(doing):
                    reply = self._clients.sts(self._settings.regions[0]).get_caller_identity()
                self._account = str(part(reply, "Account", doing))
            return self._account

    @read_as("asking for offers", "AWS")
    def offers(self, want: Want) -> Sequence[Offer]:
        """What can be had now; see offers.py for the round trips."""
        return offers.find_offers(self._clients, self._settings, want, self.account, self._clock)

    def start(self, order: Order) -> Machine:
        """One RunInstances under the order's token; see launch.py."""
        account = self.account
        instance = launch.launch(self._clients, self._settings, order, self._sleep)
        with reading(f"launching {order.name}", "AWS", effect=True):
            self._launched[instance["InstanceId"]] = self._clock()
            return self._described(instance, account, order.offer.region)

    @read_as("looking for a launch", "AWS")
    def find(self, order: Order) -> Machine | None:
        """Looks by token and by lease; cancels what could still launch for the lease.

        Of a machine that has had the time to end and be forgotten, the audit log tells.
        """
        region = order.offer.region
        spot.cancel_open_requests(self._clients, region, order.lease)
        instance = launch.find(self._clients, order)
        if instance is not None:
            return self._described(instance, self.account, region)
        return forgotten.find(self._clients, order, self.account, self._clock())

    def stop(self, machine: MachineId, how: Down) -> None:  # noqa: ARG002 - both terminate
        """Terminates, then tidies: spot request and ingress rules of its lease.

        Tidying never fails the call: what costs has ended, and leftovers() sees the rest.
        """
        if not machines.terminate(self._clients, machine, self._sleep):
            return
        try:
            self._tidy(machine)
        except GpuctlError as error:
            log.warning("tidying after %s: %s", machine.native, error)

    @read_as("looking at a machine", "AWS")
    def get(self, machine: MachineId) -> Machine:
        """Instance and disks, two calls at once.

        EC2 may not know for a while what it has just launched: for five minutes after a launch
        of this very process such a machine is asked for again, up to half a minute.
        """
        for pause in _SETTLING if self._is_young(machine) else ():
            with suppress(NotFound):
                return machines.read(self._clients, machine, self.account, self._clock)
            self._sleep(pause)
        return machines.read(self._clients, machine, self.account, self._clock)

    @read_as("listing machines", "AWS")
    def machines(self) -> Sequence[Machine]:
        """Every configured region at once."""
        return machines.list_all(
            self._clients, self._settings.regions, lambda: self.account, self._clock
        )

    @read_as("asking how a machine ended", "AWS")
    def ending(self, machine: MachineId) -> Ending | None:
        """Instance, else spot request, else CloudTrail."""
        return ending.evidence(self._clients, machine.region, machine.native, self._clock)

    @read_as("listing leftovers", "AWS")
    def leftovers(self) -> Sequence[Leftover]:
        """In every region the account may use, configured or not; orphaned schedules, too."""
        found = leftovers.find_leftovers(self._clients, self._settings, self.account, self._clock)
        return [*found, *reaper.orphans(self._clients, self._settings, self.account)]

    def remove(self, leftover: Leftover) -> None:
        """Ends one leftover of ours."""
        leftovers.remove(self._clients, leftover)

    @read_as("asking for prices", "AWS")
    def prices(self, thing: Priced, span: Span) -> Sequence[PricePoint]:
        """Spot history, Price List, or the bundled file."""
        return prices.price_points(self._clients, thing, span, self._clock)

    def filling(self, region: str) -> PricePoint | None:
        """By the bundled file."""
        return prices.initialization(region)

    def admit(self, machine: MachineId, access: Access) -> None:
        """Replaces what the machine's lease lets in. NotFound when the machine has no lease."""
        _admit(self._clients, self._settings, machine, access)

    def move_deadline(self, machine: MachineId, deadline: datetime) -> None:
        """The schedule that ends it, then the tag, which its metadata service shows the machine.

        In this order: a machine that was told of more time must not be ended for the old one.
        """
        reaper.move(self._clients, self._settings, self.account, machine, deadline)
        with translated(f"moving the deadline of {machine.native}", effect=True):
            self._clients.ec2(machine.region).create_tags(
                Resources=[machine.native],
                Tags=tags.written({tags.DEADLINE: format_time(deadline)}),
            )

    @read_as("reading the console", "AWS")
    def host_keys(self, machine: MachineId) -> Sequence[str]:
        """From the console output."""
        return console.host_keys(self._clients, machine)

    def insure(self, machine: MachineId, deadline: datetime) -> str | None:
        """A schedule of EventBridge's, one call; see reaper.py."""
        return reaper.arm(self._clients, self._settings, self.account, machine, deadline)

    def prepare(self) -> Sequence[str]:
        """Makes the role of those schedules."""
        return reaper.lay(self._clients, self._settings, self.account)

    @read_as("listing images", "AWS")
    def images(self) -> Sequence[StoredImage]:
        """By their tags, in every region; see shelf.py."""
        return self._shelf().find_all()

    @read_as("looking for an image", "AWS")
    def image(self, region: str, named: str) -> StoredImage:
        """By tags or by the channel's SSM parameter."""
        return self._shelf().find(region, named)

    def copy_image(self, image: StoredImage, region: str) -> StoredImage:
        """CopyImage, with the tags."""
        return self._shelf().copy(image, region)

    def promote_image(self, image: StoredImage, channel: str) -> None:
        """One PutParameter in its region."""
        self._shelf().promote(image, channel)

    def check_share(self, image: StoredImage, whom: str) -> None:
        """Whom it names, and what encrypts its snapshots."""
        self._shelf().check_share(image, whom)

    def share_image(self, image: StoredImage, whom: str) -> None:
        """Launch permission, and that of its snapshots."""
        self._shelf().share(image, whom)

    def remove_image(self, image: StoredImage) -> None:
        """Deregisters it and deletes its snapshots."""
        self._shelf().remove(image)

    @read_as("checking the account", "AWS")
    def checks(self, want: Want | None) -> Sequence[Check]:
        """Credentials, types, quotas."""
        return doctor.checks(self._clients, self._settings, want, self._clock)

    @read_as("making an image", "AWS", effect=True)
    def make_image(self, order: ImageOrder) -> Taken:
        """CreateImage; see making.py."""
        return making.make(self._clients, order, self._sleep)

    @read_as("looking for an image", "AWS")
    def taken_image(self, order: ImageOrder) -> Taken | None:
        """Found by the order's tag."""
        return making.taken(self._clients, order)

    def unmake_image(self, order: ImageOrder) -> None:
        """Image and snapshots."""
        making.unmake(self._clients, order)

    @read_as("listing what gpuctl made", "AWS")
    def footprint(self) -> Sequence[Footprint]:
        """Security groups, key pairs and the reaper's role of this installation."""
        return footprint.footprint(self._clients, self._settings, self.account)

    def erase(self, footprint_: Footprint) -> None:
        """Removes one of them."""
        footprint.erase(self._clients, footprint_)

    def _shelf(self) -> shelf.KeptImages:
        return shelf.KeptImages(self._clients, self._settings, self.account, self._clock)

    def _described(self, instance: translate.Described, account: str, region: str) -> Machine:
        return machines.described(self._clients, instance, account, region, self._clock)

    def _is_young(self, machine: MachineId) -> bool:
        launched = self._launched.get(machine.native)
        return launched is not None and self._clock() - launched < _YOUNG

    def _tidy(self, machine: MachineId) -> None:
        name = reaper.name_of(self._settings.install, machine.native)
        with suppress(GpuctlError):
            reaper.disarm(self._clients, machine.region, name)
        lease, _ = _lease_and_group(self._clients, machine)
        if lease is not None:
            spot.cancel_open_requests(self._clients, machine.region, lease)
            access.withdraw(self._clients, machine.region, lease)


def _admit(clients: Clients, settings: AwsSettings, machine: MachineId, wanted: Access) -> None:
    access.sources_of(wanted)  # refuse an open range before anything is asked
    lease, vpc = _lease_and_group(clients, machine)
    if lease is None or vpc is None:
        raise NotFound(f"{machine.native} carries no lease of gpuctl", hint="gpuctl ps")
    group = access.ensure_group(clients, settings, machine.region, vpc)
    access.admit(clients, machine.region, group, lease, wanted, settings.install)


def _lease_and_group(clients: Clients, machine: MachineId) -> tuple[str | None, str | None]:
    found = pages(
        clients.ec2(machine.region).describe_instances,
        "Reservations",
        f"looking at {machine.native}",
        InstanceIds=[machine.native],
    )
    for reservation in found:
        for instance in reservation.get("Instances") or ():
            return tags.read(instance).get(tags.LEASE), instance.get("VpcId")
    return None, None
