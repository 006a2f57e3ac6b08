"""Operations: a change is asked for, takes its time, and ends well or with an error."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from gpuctl.sandbox.gcp.listing import aggregated, page
from gpuctl.sandbox.gcp.project import Project
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.wire import Json, invalid, not_found, stamp

Finish = Callable[[datetime], None]

_LONGEST_WAIT = 110.0
"""Seconds a wait call blocks; Google promises no more than two minutes."""
_POLL = 0.02
_HTTP = {
    400: "BAD REQUEST",
    403: "FORBIDDEN",
    404: "NOT FOUND",
    409: "CONFLICT",
    412: "PRECONDITION FAILED",
    429: "TOO MANY REQUESTS",
    500: "INTERNAL SERVER ERROR",
    503: "SERVICE UNAVAILABLE",
}
_STATUS_OF_CODE = {
    "ZONE_RESOURCE_POOL_EXHAUSTED": 503,
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": 503,
    "QUOTA_EXCEEDED": 403,
    "IAM_PERMISSION_DENIED": 403,
    "PERMISSIONS_ERROR": 403,
    "CONDITION_NOT_MET": 412,
    "RESOURCE_OPERATION_RATE_EXCEEDED": 429,
    "RESOURCE_NOT_FOUND": 404,
    "VPC_NOT_FOUND": 404,
    "INTERNAL_ERROR": 500,
}


@dataclass(eq=False)
class OperationFailed(Exception):
    """An operation that ends with an error. `status` 0 = without the HTTP fields."""

    code: str
    message: str
    details: list[Json] = field(default_factory=list)
    status: int | None = None

    def write(self, body: Json) -> None:
        """Put the error into the operation's resource."""
        error: Json = {"code": self.code, "message": self.message}
        if self.details:
            error["errorDetails"] = self.details
        body["error"] = {"errors": [error]}
        status = self.status
        if status is None:
            status = _STATUS_OF_CODE.get(self.code, 400)
        if status:
            body["httpErrorStatusCode"] = status
            body["httpErrorMessage"] = _HTTP.get(status, "ERROR")


class Operations:
    """All operations of the project, of every scope."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._all: dict[tuple[str, str], Json] = {}
        self._requests: dict[str, tuple[str, str, Json]] = {}

    def begin(
        self,
        call: Call,
        kind: str,
        target: Json,
        scope: str,
        *,
        seconds: float,
        finish: Finish | None = None,
        undo: Finish | None = None,
        error: OperationFailed | None = None,
    ) -> Json:
        """Start an operation on `target` in `scope` (`zones/…`, `regions/…`, `global`).

        After `seconds` `finish` does the work; OperationFailed from it, `error`, or the error
        the call was told to end with, fail the operation, and `undo` puts back what was begun.
        """
        project = self._project
        now = project.now()
        body = self._new(project.ids.operation(now), kind, target, scope, now)
        body |= {"status": "RUNNING", "progress": 0, "user": "sandbox@example.com"}
        if call.op_code is not None:
            words = f"The operation failed with {call.op_code}."
            error = OperationFailed(call.op_code, words, status=call.op_status)

        def end(when: datetime) -> None:
            failed = error
            if failed is None and finish is not None:
                try:
                    finish(when)
                except OperationFailed as trouble:
                    failed = trouble
            if failed is not None:
                if undo is not None:
                    undo(when)
                failed.write(body)
            body.update(status="DONE", progress=100, endTime=stamp(when))

        project.after(now, seconds, end)
        self._remember(call, body)
        return body

    def system(self, kind: str, target: Json, scope: str, when: datetime, message: str) -> Json:
        """Something Compute Engine did by itself, as its system operations tell it."""
        body = self._new(self._project.ids.system_event(when), kind, target, scope, when)
        body |= {"status": "DONE", "progress": 100, "user": "system", "endTime": stamp(when)}
        body["statusMessage"] = message
        return body

    def _new(self, name: str, kind: str, target: Json, scope: str, when: datetime) -> Json:
        project = self._project
        body = {
            "kind": "compute#operation",
            "id": project.ids.number(),
            "name": name,
            "operationType": kind,
            "targetLink": target["selfLink"],
            "targetId": target["id"],
            "insertTime": stamp(when),
            "startTime": stamp(when),
            "selfLink": project.link(f"{scope}/operations/{name}"),
        }
        if scope != "global":
            body[scope.partition("/")[0][:-1]] = project.link(scope)
        self._all[scope, name] = body
        return body

    def _remember(self, call: Call, body: Json) -> None:
        request_id = call.query.get("requestId")
        if request_id:
            self._requests[request_id.lower()] = (call.method, _target(call), body)

    def repeated(self, call: Call) -> Json | None:
        """The operation that the same request began before, if one did.

        Refusal (400) when the id was used for another call: Google's promise covers repeats only.
        """
        request_id = call.query.get("requestId", "").lower()
        known = self._requests.get(request_id)
        if known is None:
            return None
        method, target, body = known
        if (method, target) != (call.method, _target(call)):
            raise invalid("requestId", request_id, "It was used for another request before.")
        return body

    # The calls

    def get(self, call: Call) -> Json:
        """An operation as it is now."""
        return self._find(call)[1]

    def wait(self, call: Call) -> Json:
        """The same, when it is done or two minutes have nearly passed."""
        end = time.monotonic() + _LONGEST_WAIT
        body = self._find(call)[1]
        while body["status"] != "DONE" and time.monotonic() < end:
            self._project.changed.wait(_POLL)
            self._project.clock.run_due()
        return body

    def delete(self, call: Call) -> Json:
        """Forget an operation that is over."""
        key, _ = self._find(call)
        del self._all[key]
        return {}

    def listed(self, call: Call) -> Json:
        """Those of one scope."""
        scope = self._scope(call)
        items = [body for (place, _), body in self._all.items() if place == scope]
        path = f"projects/{self._project.name}/{scope}/operations"
        return page(call, items, "compute#operationList", path)

    def aggregated_list(self, call: Call) -> Json:
        """Those of all scopes."""
        scoped: dict[str, list[Json]] = {}
        for (scope, _), body in self._all.items():
            scoped.setdefault(scope, []).append(body)
        return aggregated(
            self._project, call, "operations", "compute#operationAggregatedList", scoped
        )

    def _find(self, call: Call) -> tuple[tuple[str, str], Json]:
        scope, name = self._scope(call), call.path["operation"]
        for key, body in self._all.items():
            if key[0] == scope and name in (key[1], body["id"]):
                return key, body
        raise not_found(f"projects/{self._project.name}/{scope}/operations/{name}")

    def _scope(self, call: Call) -> str:
        if "zone" in call.path:
            return f"zones/{self._project.check_zone(call.path['zone'])}"
        if "region" in call.path:
            return f"regions/{self._project.check_region(call.path['region'])}"
        return "global"


def _target(call: Call) -> str:
    """What a call is about: its path, and the name of what it makes."""
    return "/".join((*call.path.values(), str(call.body.get("name", ""))))
