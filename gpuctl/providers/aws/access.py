"""Who may reach a machine: a security group of our own, single addresses, a key pair.

The default security group is never used. EC2 has no IAM condition on the address of a rule,
so the refusal of open ranges is here, before every call that adds one.
"""

import base64
import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gpuctl.core.errors import Busy, GpuctlError, InvalidRequest
from gpuctl.core.model import Access
from gpuctl.core.span import format_time, parse_time
from gpuctl.providers.aws import tags
from gpuctl.providers.aws.client import Clients, pages, part
from gpuctl.providers.aws.errors import refusal_of, sdk_errors, translated
from gpuctl.providers.aws.settings import AwsSettings

SSH_PORT = 22
WIDEST_V4 = 24
WIDEST_V6 = 64
_TAG_VALUE = 256
_DUPLICATES = ("InvalidGroup.Duplicate", "InvalidKeyPair.Duplicate", "InvalidPermission.Duplicate")

Rule = Mapping[str, Any]


def checked_source(text: str) -> str:
    """A CIDR in its canonical form; ValueError for anything wider than /24 (IPv6 /64)."""
    network = ipaddress.ip_network(text, strict=True)
    widest = WIDEST_V4 if network.version == 4 else WIDEST_V6  # noqa: PLR2004 - IP versions
    if network.prefixlen < widest:
        raise ValueError(f"{text} would let in more than a /{widest}; name single addresses")
    return str(network)


def sources_of(access: Access) -> tuple[str, ...]:
    """What to let in: nothing through a tunnel. InvalidRequest for a range that is too wide."""
    if access.tunnel is not None:
        return ()
    try:
        return tuple(dict.fromkeys(checked_source(source) for source in access.sources))
    except ValueError as error:
        raise InvalidRequest(f"access refused: {error}") from error


def find_group(clients: Clients, settings: AwsSettings, region: str, vpc: str) -> str | None:
    """Id of the installation's security group in a VPC."""
    found = pages(
        clients.ec2(region).describe_security_groups,
        "SecurityGroups",
        f"looking for the security group in {region}",
        Filters=[tags.where("group-name", settings.group_name), tags.where("vpc-id", vpc)],
    )
    return str(found[0]["GroupId"]) if found else None


def ensure_group(clients: Clients, settings: AwsSettings, region: str, vpc: str) -> str:
    """The group's id; makes it, with no inbound rule at all, when there is none yet."""
    group = find_group(clients, settings, region, vpc)
    if group is not None:
        return group
    doing = f"making the security group in {region}"
    try:
        reply = clients.ec2(region).create_security_group(
            GroupName=settings.group_name,
            Description="gpuctl: ssh from single addresses, each until its expiry",
            VpcId=vpc,
            TagSpecifications=[
                tags.specification("security-group", tags.of_install(settings.install))
            ],
        )
    except sdk_errors() as error:
        if not _is_duplicate(error):
            with translated(doing, effect=True):
                raise
        group = find_group(clients, settings, region, vpc)
        if group is None:
            raise Busy(f"{doing}: it exists but cannot be seen yet") from error
        return group
    return str(part(reply, "GroupId", doing))


def rules_of(clients: Clients, region: str, group: str) -> list[Rule]:
    """The inbound rules of a group."""
    rules = pages(
        clients.ec2(region).describe_security_group_rules,
        "SecurityGroupRules",
        f"reading the ingress rules in {region}",
        Filters=[tags.where("group-id", group)],
    )
    return [rule for rule in rules if not rule.get("IsEgress")]


def admit(
    clients: Clients, region: str, group: str, lease: str, access: Access, install: str
) -> None:
    """Lets exactly `access.sources` in for a lease and ends what it had let in before.

    Rules are added before old ones are revoked, so a session that stays allowed never breaks.
    Machines of one group that allow the same address share a rule: it names all their leases
    and is revoked with the last.
    """
    wanted = sources_of(access)
    present = {_cidr(rule): rule for rule in rules_of(clients, region, group)}
    for source in wanted:
        if source in present:
            _keep(clients, region, present[source], lease, access.expires)
        else:
            _allow(clients, region, group, source, lease, access.expires, install)
    for source, rule in present.items():
        if source not in wanted and lease in leases_of(rule):
            _drop(clients, region, group, rule, lease)


def withdraw(clients: Clients, region: str, lease: str) -> None:
    """Ends what a lease let in, wherever its group is."""
    rules = pages(
        clients.ec2(region).describe_security_group_rules,
        "SecurityGroupRules",
        f"reading the ingress rules in {region}",
        Filters=[tags.tagged(tags.LEASE, f"*{lease}*")],
    )
    for rule in rules:
        if lease in leases_of(rule):
            _drop(clients, region, rule["GroupId"], rule, lease)


def leases_of(rule: Rule) -> tuple[str, ...]:
    """The leases that a rule serves."""
    return tuple(tags.read(rule).get(tags.LEASE, "").split())


def expiry_of(rule: Rule) -> datetime | None:
    """Until when a rule holds; None when it does not say."""
    try:
        return parse_time(tags.read(rule).get(tags.EXPIRES, ""))
    except ValueError:
        return None


def key_name(settings: AwsSettings, public_key: str) -> str:
    """`gpuctl-<install>-<fingerprint>`: another key never hides behind the same name."""
    return f"{settings.group_name}-{fingerprint(public_key)[:8]}"


def fingerprint(public_key: str) -> str:
    """SHA-256 of the key itself, in hex. InvalidRequest when it is not a public key."""
    try:
        blob = base64.b64decode(public_key.split()[1], validate=True)
    except (IndexError, ValueError) as error:
        raise InvalidRequest(f"{public_key[:40]!r} is not an OpenSSH public key") from error
    return hashlib.sha256(blob).hexdigest()


def ensure_key(clients: Clients, settings: AwsSettings, region: str, public_key: str) -> str:
    """Name of the key pair in a region; imports it when it is not there."""
    name = key_name(settings, public_key)
    ec2 = clients.ec2(region)
    found = pages(
        ec2.describe_key_pairs,
        "KeyPairs",
        f"looking for the key pair in {region}",
        Filters=[tags.where("key-name", name)],
    )
    if found:
        return name
    try:
        ec2.import_key_pair(
            KeyName=name,
            PublicKeyMaterial=public_key.encode(),
            TagSpecifications=[tags.specification("key-pair", tags.of_install(settings.install))],
        )
    except sdk_errors() as error:
        if not _is_duplicate(error):
            with translated(f"importing the key pair in {region}", effect=True):
                raise
    return name


def _allow(
    clients: Clients,
    region: str,
    group: str,
    source: str,
    lease: str,
    expires: datetime,
    install: str,
) -> None:
    until = format_time(expires)
    described = {"Description": f"gpuctl until {until}"}
    version = ipaddress.ip_network(source).version
    ranges: Mapping[str, Any] = (
        {"IpRanges": [{"CidrIp": source, **described}]}
        if version == 4  # noqa: PLR2004 - IP versions
        else {"Ipv6Ranges": [{"CidrIpv6": source, **described}]}
    )
    permission = {"IpProtocol": "tcp", "FromPort": SSH_PORT, "ToPort": SSH_PORT, **ranges}
    written = {**tags.of_install(install), tags.LEASE: lease, tags.EXPIRES: until}
    try:
        clients.ec2(region).authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[permission],
            TagSpecifications=[tags.specification("security-group-rule", written)],
        )
    except sdk_errors() as error:
        if not _is_duplicate(error):
            with translated(f"letting {source} in in {region}", effect=True):
                raise
        for rule in rules_of(clients, region, group):
            if _cidr(rule) == source:
                _keep(clients, region, rule, lease, expires)


def _keep(clients: Clients, region: str, rule: Rule, lease: str, expires: datetime) -> None:
    """Adds a lease to a rule and moves its expiry to the later of both."""
    leases = leases_of(rule)
    known = expiry_of(rule)
    until = max(expires, known) if known and leases not in ((), (lease,)) else expires
    names = (*(name for name in leases if name != lease), lease)
    _tag(clients, region, rule, {tags.LEASE: _joined(names), tags.EXPIRES: format_time(until)})


def _drop(clients: Clients, region: str, group: str, rule: Rule, lease: str) -> None:
    """Takes a lease from a rule; revokes the rule with its last lease."""
    left = tuple(name for name in leases_of(rule) if name != lease)
    if left:
        _tag(clients, region, rule, {tags.LEASE: _joined(left)})
    else:
        revoke(clients, region, group, rule["SecurityGroupRuleId"])


def revoke(clients: Clients, region: str, group: str, rule: str) -> None:
    """Removes one ingress rule; one that is gone is no error."""
    try:
        clients.ec2(region).revoke_security_group_ingress(
            GroupId=group, SecurityGroupRuleIds=[rule]
        )
    except sdk_errors() as error:
        if not refusal_of(error).code.endswith(".NotFound"):
            with translated(f"revoking {rule} in {region}", effect=True):
                raise


def _tag(clients: Clients, region: str, rule: Rule, values: Mapping[str, str]) -> None:
    with translated(f"marking an ingress rule in {region}", effect=True):
        clients.ec2(region).create_tags(
            Resources=[rule["SecurityGroupRuleId"]], Tags=tags.written(values)
        )


def _joined(leases: Sequence[str]) -> str:
    """As many of the newest leases as a tag holds (seven); an older one is admitted anew."""
    kept: list[str] = []
    for lease in reversed(leases):
        if len(" ".join((*kept, lease))) > _TAG_VALUE:
            break
        kept.insert(0, lease)
    return " ".join(kept)


def _cidr(rule: Rule) -> str:
    return str(rule.get("CidrIpv4") or rule.get("CidrIpv6") or "")


def _is_duplicate(error: Exception) -> bool:
    try:
        return refusal_of(error).code in _DUPLICATES
    except GpuctlError:
        return False
