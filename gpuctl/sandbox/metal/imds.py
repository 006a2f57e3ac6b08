"""Amazon's instance metadata service, version 2 only (HttpTokens=required).

Source of the rules: "Use the Instance Metadata Service to access instance metadata", EC2 User
Guide; see the notes of the sandbox's own documentation for what is left out.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import unquote, urlsplit

from gpuctl.sandbox.metal.metadata import Facts, rfc3339
from gpuctl.sandbox.metal.web import Reply, Request

_MAX_TTL_S = 21600
_META = "/latest/meta-data"


class Imds:
    """Answers as 169.254.169.254 does on EC2."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._tokens: dict[str, datetime] = {}

    def answer(self, request: Request) -> Reply:
        """One request."""
        path = unquote(urlsplit(request.path).path)
        if "x-forwarded-for" in request.headers:
            return _error(403, "Forbidden")
        if request.method == "PUT" and path == "/latest/api/token":
            return self._token(request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", ""))
        if request.method not in ("GET", "HEAD"):
            return _error(405, "Method Not Allowed")
        if not self._knows(request.headers.get("x-aws-ec2-metadata-token", "")):
            return _error(401, "Unauthorized")
        return self._get(path)

    def _token(self, ttl: str) -> Reply:
        if not ttl.isdigit() or not 1 <= int(ttl) <= _MAX_TTL_S:
            return _error(400, "Bad Request")
        token = secrets.token_urlsafe(40)
        self._tokens[token] = self._facts.now() + timedelta(seconds=int(ttl))
        return Reply(body=token.encode(), headers={"X-aws-ec2-metadata-token-ttl-seconds": ttl})

    def _knows(self, token: str) -> bool:
        until = self._tokens.get(token)
        return until is not None and self._facts.now() < until

    def _get(self, path: str) -> Reply:
        if path.rstrip("/") == "/latest/user-data":
            data = self._facts.boot.user_data
            return Reply(body=data, kind="application/octet-stream") if data else _missing()
        if path.rstrip("/") == "/latest/dynamic/instance-identity/document":
            return Reply(body=self._identity().encode())
        if path.rstrip("/") == "/latest":
            return Reply(body=b"dynamic\nmeta-data\nuser-data")
        if path != _META and not path.startswith(f"{_META}/"):
            return _missing()
        return _look_up(self._tree(), path[len(_META) :].strip("/"))

    def _tree(self) -> dict[str, str]:
        boot = self._facts.boot
        tree = {
            "ami-launch-index": "0",
            "events/maintenance/scheduled": "[]",
            "hostname": f"{boot.id}.ec2.internal",
            "instance-action": "none",
            "instance-id": boot.id,
            "instance-life-cycle": boot.market,
            "instance-type": boot.type,
            "local-hostname": f"{boot.id}.ec2.internal",
            "local-ipv4": "127.0.0.1",
            "placement/availability-zone": boot.zone,
            "placement/region": boot.region,
            "services/domain": "amazonaws.com",
            "services/partition": "aws",
        }
        if boot.authorized_keys:
            tree["public-keys/0/openssh-key"] = boot.authorized_keys[0]
        if boot.profile is not None:
            tree[f"iam/security-credentials/{boot.profile}"] = self._keys()
        tree |= {f"tags/instance/{name}": value for name, value in self._facts.tags.items()}
        return tree | self._notices()

    def _notices(self) -> dict[str, str]:
        told: dict[str, str] = {}
        if spot := self._facts.notice("spot"):
            at = rfc3339(spot.at)
            told["spot/instance-action"] = json.dumps({"action": spot.action, "time": at})
            told["instance-action"] = spot.action
            if spot.action == "terminate":
                told["spot/termination-time"] = at
        if rebalance := self._facts.notice("rebalance"):
            told["events/recommendations/rebalance"] = json.dumps(
                {"noticeTime": rfc3339(rebalance.at)}
            )
        return told

    def _keys(self) -> str:
        """The dummy keys that the sandbox's own front lets in, as a role's keys look."""
        now = self._facts.now()
        return json.dumps(
            {
                "Code": "Success",
                "LastUpdated": rfc3339(now),
                "Type": "AWS-HMAC",
                "AccessKeyId": "sandbox",
                "SecretAccessKey": "sandbox",
                "Token": "sandbox",
                "Expiration": rfc3339(now + timedelta(hours=6)),
            }
        )

    def _identity(self) -> str:
        boot = self._facts.boot
        return json.dumps(
            {
                "availabilityZone": boot.zone,
                "instanceId": boot.id,
                "instanceType": boot.type,
                "region": boot.region,
                "architecture": "x86_64",
                "version": "2017-09-30",
            },
            indent=2,
        )


def _look_up(tree: Mapping[str, str], path: str) -> Reply:
    if path in tree:
        return Reply(body=tree[path].encode())
    prefix = f"{path}/" if path else ""
    names = {
        name[len(prefix) :].partition("/")[0] + ("/" if "/" in name[len(prefix) :] else "")
        for name in tree
        if name.startswith(prefix)
    }
    if prefix == "tags/instance/":  # a tag's key may have slashes of its own
        names = {name[len(prefix) :] for name in tree if name.startswith(prefix)}
    return Reply(body="\n".join(sorted(names)).encode()) if names else _missing()


def _missing() -> Reply:
    return _error(404, "Not Found")


def _error(status: int, title: str) -> Reply:
    page = f"<html><head><title>{status} - {title}</title></head></html>\n"
    return Reply(status, page.encode(), "text/html")
