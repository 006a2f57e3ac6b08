"""What gpuctl made in an account besides machines, and its removal."""

from collections.abc import Sequence

from gpuctl.core.model import Footprint
from gpuctl.providers.aws import reaper, tags
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.errors import refusal_of, sdk_errors, translated
from gpuctl.providers.aws.parallel import each, together
from gpuctl.providers.aws.settings import AwsSettings
from gpuctl.providers.aws.translate import NAME

GROUP = "security-group"
KEY = "key-pair"


def footprint(clients: Clients, settings: AwsSettings, account: str) -> Sequence[Footprint]:
    """Security groups and key pairs of this installation, in the configured regions; its role."""
    ours = [tags.tagged(tags.INSTALL, settings.install)]

    def of_region(region: str) -> list[Footprint]:
        ec2, doing = clients.ec2(region), f"listing what gpuctl made in {region}"
        groups, keys = together(
            lambda: pages(ec2.describe_security_groups, "SecurityGroups", doing, Filters=ours),
            lambda: pages(ec2.describe_key_pairs, "KeyPairs", doing, Filters=ours),
        )
        found = [(group["GroupId"], GROUP) for group in groups]
        found += [(key["KeyName"], KEY) for key in keys]
        return [
            Footprint(provider=NAME, account=account, region=region, resource=id_, what=what)
            for id_, what in found
        ]

    found = [one for made in each(settings.regions, of_region) for one in made]
    return [*found, *reaper.laid(clients, settings, account)]


def erase(clients: Clients, thing: Footprint) -> None:
    """Removes one; one that is gone is no error. Busy while a machine still uses a group."""
    try:
        if thing.what == GROUP:
            clients.ec2(thing.region).delete_security_group(GroupId=thing.resource)
        elif thing.what == KEY:
            clients.ec2(thing.region).delete_key_pair(KeyName=thing.resource)
        elif thing.what == reaper.REAPER:
            reaper.lift(clients)
        else:
            raise ValueError(f"{thing.resource}: nothing is known of how to erase a {thing.what}")
    except sdk_errors() as error:
        if not refusal_of(error).code.endswith((".NotFound", "NoSuchEntity")):
            with translated(f"erasing {thing.resource}", effect=True):
                raise
