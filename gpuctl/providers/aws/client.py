"""How AWS's clients are built and read.

One session; one client per service and region, made when first used. Reads, terminations and
tags are retried by the SDK (standard mode, 5 attempts in all) and by nobody else. A launch has
its own client without retries, because launch.py owns that loop and its token.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from gpuctl.core.errors import Busy, UsageProblem
from gpuctl.providers.aws.calls import (
    CloudTrail,
    CostExplorer,
    Ec2,
    Kms,
    Launcher,
    Pricing,
    Reply,
    RoleMaker,
    Roles,
    Scheduler,
    ServiceQuotas,
    Ssm,
    Sts,
)
from gpuctl.providers.aws.errors import translated
from gpuctl.providers.aws.settings import AwsSettings

READ_ATTEMPTS = 5
CONNECT_TIMEOUT = 5
READ_TIMEOUT = 60
"""Seconds. A short one would make ambiguous launches out of slow ones."""

PRICE_LIST_REGION = "us-east-1"
"""The Price List API lives in three regions only and knows the prices of all."""


MakeClient = Callable[[str, str, int], object]
"""(service, region, attempts in all) -> an SDK client."""


class Clients:
    """The clients of one account, made when first asked for; safe to use from many threads."""

    def __init__(self, make: MakeClient) -> None:
        self._make = make
        self._made: dict[tuple[str, str, int], object] = {}
        self._lock = threading.Lock()

    def ec2(self, region: str) -> Ec2:
        """Everything but launching."""
        return cast(Ec2, self._client("ec2", region))

    def launcher(self, region: str) -> Launcher:
        """Launching, one attempt a call."""
        return cast(Launcher, self._client("ec2", region, attempts=1))

    def sts(self, region: str) -> Sts:
        """The caller's identity."""
        return cast(Sts, self._client("sts", region))

    def ssm(self, region: str) -> Ssm:
        """Parameters."""
        return cast(Ssm, self._client("ssm", region))

    def kms(self, region: str) -> Kms:
        """Keys."""
        return cast(Kms, self._client("kms", region))

    def pricing(self) -> Pricing:
        """The Price List, for all regions."""
        return cast(Pricing, self._client("pricing", PRICE_LIST_REGION))

    def cloudtrail(self, region: str) -> CloudTrail:
        """The audit log."""
        return cast(CloudTrail, self._client("cloudtrail", region))

    def quotas(self, region: str) -> ServiceQuotas:
        """Quotas."""
        return cast(ServiceQuotas, self._client("service-quotas", region))

    def cost_explorer(self) -> CostExplorer:
        """What the account was billed: one endpoint for all regions."""
        return cast(CostExplorer, self._client("ce", PRICE_LIST_REGION))

    def scheduler(self, region: str) -> Scheduler:
        """EventBridge Scheduler."""
        return cast(Scheduler, self._client("scheduler", region))

    def roles(self) -> Roles:
        """IAM, to look: one endpoint for all regions."""
        return cast(Roles, self._client("iam", PRICE_LIST_REGION))

    def role_maker(self) -> RoleMaker:
        """IAM, to make."""
        return cast(RoleMaker, self._client("iam", PRICE_LIST_REGION))

    def _client(self, service: str, region: str, attempts: int = READ_ATTEMPTS) -> object:
        key = (service, region, attempts)
        with self._lock:  # a boto3 session may not make two clients at once
            if key not in self._made:
                with translated(f"connecting to {service} in {region}"):
                    self._made[key] = self._make(*key)
            return self._made[key]


def pages(
    call: Callable[..., Reply], key: str, doing: str, **request: Any
) -> list[Mapping[str, Any]]:
    """All items under `key`, over all pages.

    A reply without that key is an error and never an empty list: the page of a captive portal
    parses as a reply with nothing in it.
    """
    found: list[Mapping[str, Any]] = []
    token: str | None = None
    while True:
        with translated(doing):
            reply = call(**request, **({"NextToken": token} if token else {}))
        found.extend(part(reply, key, doing))
        token = reply.get("NextToken")
        if not token:
            return found


def part(reply: Reply, key: str, doing: str) -> Any:
    """`reply[key]`, or `Busy` when what answered cannot have been AWS."""
    if key not in reply:
        raise Busy(
            f"{doing}: the answer is not one of AWS's",
            hint="a proxy or a captive portal may stand in between",
            detail=f"no {key} in the reply, only {sorted(reply)}",
        )
    return reply[key]


def make_with_boto3(settings: AwsSettings, environ: Mapping[str, str] | None) -> MakeClient:
    """Clients of a boto3 session.

    `environ` None = the process's own environment, which the SDK reads by itself; else only
    its AWS_ENDPOINT_URL and AWS_ACCESS_KEY_ID, …_SECRET_ACCESS_KEY, …_SESSION_TOKEN count.
    """
    import boto3
    from botocore.config import Config

    given = environ or {}
    endpoint = given.get("AWS_ENDPOINT_URL")
    with translated("reading the AWS profile"):
        session = boto3.Session(
            profile_name=settings.profile,
            region_name=settings.regions[0],
            aws_access_key_id=given.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=given.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=given.get("AWS_SESSION_TOKEN"),
        )
    core: Any = session._session  # noqa: SLF001 - boto3 has no way to name its parsers
    core.register_component("response_parser_factory", _parsers())
    if settings.role_arn is not None:
        _assume(session, settings.role_arn, endpoint)

    def make(service: str, region: str, attempts: int) -> object:
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=16,
            user_agent_extra="gpuctl",
        )
        build = cast(Callable[..., Any], session.client)
        try:
            client = build(service, region_name=region, endpoint_url=endpoint, config=config)
        except ValueError as error:  # the SDK has no class of its own for a bad endpoint
            raise UsageProblem(
                f"the AWS SDK cannot make a client for {service} in {region}: {error}",
                hint="correct AWS_ENDPOINT_URL, or endpoint_url in the AWS config file",
            ) from error
        if service == "ec2":
            client.meta.events.register("after-call.ec2", refuse_what_is_not_aws)
        return cast(object, client)

    return make


def _parsers() -> Any:
    """The SDK's parsers, whose complaint of junk in a field is an error of the SDK's: by itself
    it is a bare ValueError, and whether the call had its effect would be forgotten.
    """
    from botocore.parsers import ResponseParserError, ResponseParserFactory

    class Parsers(ResponseParserFactory):
        def create_parser(self, protocol_name: str) -> Any:
            parser: Any = super().create_parser(protocol_name)
            parse = parser.parse

            def guarded(response: Any, shape: Any) -> Any:
                try:
                    return parse(response, shape)
                except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
                    if isinstance(error, ResponseParserError):
                        raise
                    words = f"junk in {getattr(shape, 'name', 'the answer')}: {error}"
                    if isinstance(error, KeyError):  # a page has no result to unwrap
                        words = f"the answer is not one of AWS's: it has no {error.args[0]}"
                    raise ResponseParserError(words) from error

            parser.parse = guarded
            return parser

    return Parsers()


def refuse_what_is_not_aws(parsed: Mapping[str, Any], **_: Any) -> None:
    """Every reply of EC2 has a request id; the page of a captive portal parses as an empty one.

    Raised as the SDK's own parser error, so that what may have happened is in doubt.
    """
    from botocore.parsers import ResponseParserError

    if not parsed.get("ResponseMetadata", {}).get("RequestId"):
        raise ResponseParserError("the answer is not one of AWS's: it has no request id")


def _assume(session: Any, role: str, endpoint: str | None) -> None:
    """Makes the session act as `role`; its keys are fetched when needed and renewed in time."""
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    inner = session._session  # noqa: SLF001 - boto3 has no public way to renew assumed keys

    def client(*names: str, **options: Any) -> Any:
        return inner.create_client(*names, **{"endpoint_url": endpoint, **options})

    fetcher = AssumeRoleCredentialFetcher(
        client_creator=client,
        source_credentials=session.get_credentials(),
        role_arn=role,
        extra_args={"RoleSessionName": "gpuctl"},
    )
    inner._credentials = DeferredRefreshableCredentials(  # noqa: SLF001
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
