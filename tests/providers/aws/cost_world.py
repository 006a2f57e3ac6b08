"""Cost Explorer as its reference tells it: strict about requests, slow to answer whole.

Facts are lines of a bill; answers are grouped, filtered and paged from them. What AWS refuses is
refused: three groups, days that have not been, instances without the opt-in or too far back.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EC2 = "Amazon Elastic Compute Cloud - Compute"
ACCOUNT = "111122223333"
_IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    "<GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/me</Arn>"
    f"<UserId>AIDA</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
    "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
)


@dataclass(frozen=True)
class Fact:
    """A line of the bill."""

    day: date
    cost: str
    usage_type: str = "BoxUsage:g5.xlarge"
    resource: str | None = None
    project: str | None = None
    record: str = "Usage"
    service: str = EC2
    account: str = ACCOUNT
    quantity: str = "1"
    unit: str = "Hrs"

    def key(self, group: dict[str, str]) -> str:
        if group["Type"] == "TAG":
            return f"{group['Key']}${self.project or ''}"
        return {
            "USAGE_TYPE": self.usage_type,
            "RECORD_TYPE": self.record,
            "RESOURCE_ID": self.resource or "NoResourceId",
        }[group["Key"]]

    def fits(self, where: dict[str, Any]) -> bool:
        if "And" in where:
            return all(self.fits(one) for one in where["And"])
        if "Not" in where:
            return not self.fits(where["Not"])
        values = {
            "RECORD_TYPE": self.record, "SERVICE": self.service, "LINKED_ACCOUNT": self.account
        }  # fmt: skip
        return values[where["Dimensions"]["Key"]] in where["Dimensions"]["Values"]


class Refused(Exception):
    pass


@dataclass
class Explorer:
    """The service's state."""

    today: date
    facts: list[Fact] = field(default_factory=list)
    opted_in: bool = True
    enabled: bool = True
    final: date | None = None
    """Days before this are no longer estimated."""
    page: int = 3
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _pages: dict[str, tuple[dict[str, Any], list[Any]]] = field(default_factory=dict)

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((action, request))
        if not self.enabled:
            raise Refused("AccessDeniedException", "User not enabled for cost explorer access")
        token = request.pop("NextPageToken", None)
        if token is not None:
            known, rest = self._pages.pop(token)
            if known != request:
                raise Refused("RequestChangedException", "the request is another one")
            return self._paged(request, rest)
        return self._paged(request, self._results(action, request))

    def _results(self, action: str, request: dict[str, Any]) -> list[Any]:
        start, end = (date.fromisoformat(request["TimePeriod"][k]) for k in ("Start", "End"))
        if not start < end:
            raise Refused("ValidationException", "Start date should be before end date")
        if end > self.today + timedelta(days=1):
            raise Refused("ValidationException", "end date past the present day")
        groups = request["GroupBy"]
        if len(groups) > 2:
            raise Refused("ValidationException", "at most two groups")
        if request["Granularity"] != "DAILY" or not request["Metrics"]:
            raise Refused("ValidationException", "Granularity and Metrics are needed")
        if action == "GetCostAndUsageWithResources":
            self._check_resources(start, request)
        facts = [fact for fact in self.facts if fact.fits(request["Filter"])]
        results = []
        day = start
        while day < end:
            results.append(self._day(day, [f for f in facts if f.day == day], groups))
            day += timedelta(days=1)
        return results

    def _check_resources(self, start: date, request: dict[str, Any]) -> None:
        if not self.opted_in:
            raise Refused("DataUnavailableException", "resource level data is not enabled")
        if start < self.today - timedelta(days=13):
            raise Refused("ValidationException", "Data for this time period is no longer available")
        if f'"{EC2}"' not in json.dumps(request["Filter"]):
            raise Refused("ValidationException", "SERVICE is needed in the filter")

    def _day(self, day: date, facts: list[Fact], groups: list[dict[str, str]]) -> dict[str, Any]:
        sums: dict[tuple[str, ...], tuple[Decimal, Decimal, set[str]]] = {}
        for fact in facts:
            key = tuple(fact.key(group) for group in groups)
            cost, amount, units = sums.get(key, (Decimal(0), Decimal(0), set()))
            sums[key] = (
                cost + Decimal(fact.cost),
                amount + Decimal(fact.quantity),
                units | {fact.unit},
            )
        return {
            "TimePeriod": {"Start": str(day), "End": str(day + timedelta(days=1))},
            "Total": {},
            "Groups": [
                {
                    "Keys": list(key),
                    "Metrics": {
                        "UnblendedCost": {"Amount": f"{cost:f}", "Unit": "USD"},
                        "UsageQuantity": {
                            "Amount": f"{amount:f}",
                            "Unit": units.pop() if len(units) == 1 else "N/A",
                        },
                    },
                }
                for key, (cost, amount, units) in sorted(sums.items())
            ],
            "Estimated": self.final is None or day >= self.final,
        }

    def _paged(self, request: dict[str, Any], results: list[Any]) -> dict[str, Any]:
        reply: dict[str, Any] = {"ResultsByTime": results[: self.page]}
        if results[self.page :]:
            token = f"page-{len(self.asked)}"
            self._pages[token] = (dict(request), results[self.page :])
            reply["NextPageToken"] = token
        return reply


@contextmanager
def explorer(today: date) -> Iterator[tuple[Explorer, str]]:
    """The service on a port of its own, and its address."""
    world = Explorer(today)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            action = (self.headers.get("X-Amz-Target") or "").rpartition(".")[2]
            if not action:
                assert b"GetCallerIdentity" in body
                self._send(200, "text/xml", _IDENTITY)
                return
            try:
                reply = json.dumps(world.answer(action, json.loads(body)))
                self._send(200, "application/x-amz-json-1.1", reply)
            except Refused as refused:
                code, message = refused.args
                reply = json.dumps({"__type": code, "message": message})
                self._send(400, "application/x-amz-json-1.1", reply)

        def _send(self, status: int, form: str, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", form)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield world, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
