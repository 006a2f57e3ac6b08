"""What can be told of an account before anything is launched in it."""

from collections.abc import Sequence
from decimal import Decimal

from gpuctl.core.errors import Denied, GpuctlError, NotFound
from gpuctl.core.kinds import Market
from gpuctl.core.model import Check, Offer, Want
from gpuctl.core.ports import Clock
from gpuctl.providers.aws import offers, reaper
from gpuctl.providers.aws.client import Clients, part
from gpuctl.providers.aws.errors import translated
from gpuctl.providers.aws.gpus import family_of
from gpuctl.providers.aws.parallel import each
from gpuctl.providers.aws.quotas import quota_code, request_command
from gpuctl.providers.aws.settings import AwsSettings

_TYPICAL_VCPUS = 8


def checks(
    clients: Clients, settings: AwsSettings, want: Want | None, clock: Clock
) -> Sequence[Check]:
    """Credentials first; without them nothing else is asked."""
    who, account = credentials(clients, settings)
    if account is None:
        return (who,)
    found = [who, reaper.check(clients), tags_active()]
    if want is not None:
        found.extend(_of_want(clients, settings, want, account, clock))
    return tuple(found)


def credentials(clients: Clients, settings: AwsSettings) -> tuple[Check, str | None]:
    """Who we are, and the account's id when that is known."""
    doing = "asking who we are"
    try:
        with translated(doing):
            reply = clients.sts(settings.regions[0]).get_caller_identity()
        account, arn = part(reply, "Account", doing), part(reply, "Arn", doing)
    except GpuctlError as error:
        return Check(
            name="aws credentials",
            ok=False,
            says=error.message,
            why="without them gpuctl can neither launch nor end anything",
            fix=error.hint or "aws configure sso",
        ), None
    return Check(name="aws credentials", ok=True, says=f"{arn} in account {account}"), str(account)


def tags_active() -> Check:
    """A reminder: whether the tags are active for cost allocation costs money to ask."""
    return Check(
        name="aws cost allocation tags",
        ok=None,
        says="cannot be seen from here",
        why="only activated tags appear on AWS's own bill, and only from then on",
        fix="activate gpuctl:project and gpuctl:lease under Billing > Cost allocation tags",
    )


def _of_want(
    clients: Clients, settings: AwsSettings, want: Want, account: str, clock: Clock
) -> list[Check]:
    try:
        found = offers.find_offers(clients, settings, want, account, clock)
    except GpuctlError as error:
        return [Check(name="aws offers", ok=False, says=error.message, fix=error.hint)]
    sold: list[Check] = [_sold(type_, found) for type_ in want.types]
    if not any(check.ok for check in sold):
        sold = [_failed(check) for check in sold]
    wanted: dict[tuple[str, str], tuple[Offer, Market]] = {}
    for offer in found:
        code = quota_code(offer.type, offer.market)
        if code is not None and offer.hourly is not None:
            known = wanted.get((code, offer.region))
            if known is None or (offer.vcpus or 0) < (known[0].vcpus or 0):
                wanted[code, offer.region] = offer, offer.market
    asked = each(
        sorted(wanted.items(), key=lambda item: item[0]),
        lambda item: quota(clients, item[0][0], item[0][1], item[1][0]),
    )
    return [*sold, *asked]


def _sold(type_: str, found: Sequence[Offer]) -> Check:
    zones = sorted({offer.zone for offer in found if offer.type == type_ and offer.available})
    if zones:
        return Check(name=f"aws {type_}", ok=True, says=f"sold in {', '.join(zones)}")
    reasons = [offer.reason for offer in found if offer.type == type_ and offer.reason]
    return Check(
        name=f"aws {type_}",
        ok=None,
        says=reasons[0] if reasons else "not sold",
        why="the next type of the template is used instead",
        fix="gpuctl offers",
    )


def _failed(check: Check) -> Check:
    return Check(
        name=check.name,
        ok=False,
        says=check.says,
        why="no type of the template can be had",
        fix=check.fix,
    )


def quota(clients: Clients, code: str, region: str, offer: Offer) -> Check:
    """Whether the vCPU quota holds one machine of the offer's type."""
    needed = offer.vcpus or _TYPICAL_VCPUS
    name = f"aws quota {offer.market} {family_of(offer.type)} {region}"
    doing = f"reading quota {code} in {region}"
    try:
        with translated(doing):
            reply = clients.quotas(region).get_service_quota(ServiceCode="ec2", QuotaCode=code)
        value = Decimal(str(part(reply, "Quota", doing)["Value"]))
    except (Denied, NotFound) as error:
        return Check(name=name, ok=None, says=f"{code} could not be read: {error.message}")
    except GpuctlError as error:
        return Check(name=name, ok=None, says=error.message, fix=error.hint)
    if value >= needed:
        return Check(name=name, ok=True, says=f"{int(value)} vCPUs ({code})")
    return Check(
        name=name,
        ok=False,
        says=f"{int(value)} vCPUs ({code}); one {offer.type} needs {needed}",
        why="AWS gives new accounts no GPU vCPUs until they ask; an answer takes a day or two",
        fix=request_command(code, needed, region),
    )
