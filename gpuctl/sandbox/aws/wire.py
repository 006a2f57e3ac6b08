"""Between bytes and the SDK's own shapes, both ways, and calls to moto inside this process.

Handlers speak what boto3 speaks (`{"Reservations": [...]}`), whatever the protocol. The codec is
moto's and botocore's own, driven by botocore's service models: an unmodified SDK is the judge.
"""

import io
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import EnvironBuilder, run_wsgi_app

from gpuctl.sandbox.aws.refusals import Refusal, status_of

Shape = dict[str, Any]
"""A request's or an answer's members, as boto3 takes and gives them."""

MODELS = {"servicequotas": "service-quotas"}
"""Signing name -> name of the service model, where they differ."""

_SCOPE = re.compile(r"Credential=([^/]*)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_FILTER = re.compile(r"<li>\s*<p>\s*<code>([a-z][a-z0-9.:-]*)")
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_ERRORS_FROM = 400
_FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: status, headers, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One signed request, read. `forward` asks moto the same, perhaps with other parameters."""

    service: str
    region: str
    action: str
    params: Shape
    forward: Callable[[Shape], Shape]


Handler = Callable[[Call], Shape]


@dataclass(frozen=True, slots=True)
class Signed:
    """Whose request it is and where it goes, from its signature's scope."""

    key: str
    region: str
    service: str


def signed_by(environ: Mapping[str, Any]) -> Signed | None:
    """The credential scope of a signed request (header or presigned query); None without one."""
    text = environ.get("HTTP_AUTHORIZATION", "")
    match = _SCOPE.search(text)
    if match is None:
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        match = _SCOPE.search("Credential=" + query.get("X-Amz-Credential", ""))
    return Signed(match[1], match[2], match[3].lower()) if match else None


@cache
def _operation(service: str, action: str) -> Any:
    return get_service_model(MODELS.get(service, service)).operation_model(action)


def read(service: str, environ: Mapping[str, Any], body: bytes) -> tuple[str, Shape]:
    """Action and parameters of a request to a query, EC2 or JSON service."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return target.rpartition(".")[2], json.loads(body or b"{}")
    form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    form.update(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    action = form.get("Action", "")
    parser: Any = PROTOCOL_PARSERS[get_service_model(service).protocol]
    asked = {"method": "POST", "values": form, "headers": {}, "body": body, "url_path": "/"}
    return action, parser(_operation(service, action)).parse(asked)


@cache
def _filters_of(action: str) -> frozenset[str]:
    """The names that AWS's own documentation of a Describe call lists."""
    shape = _operation("ec2", action).input_shape
    members = shape.members if shape is not None else {}
    text = members["Filters"].documentation if "Filters" in members else ""
    return frozenset(_FILTER.findall(text))


def check_filters(action: str, params: Shape) -> None:
    """Refuse a filter that AWS does not have; moto ignores it or breaks on it."""
    known = _filters_of(action) if params.get("Filters") else frozenset()
    for one in params.get("Filters") or ():
        name = str(one.get("Name") or "null")
        if known and name not in known and not name.startswith("tag:"):
            raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")


def write(service: str, action: str, result: Shape, request_id: str) -> Answer:
    """The bytes of an answer in the service's own protocol."""
    model = get_service_model(MODELS.get(service, service))
    if model.protocol == "json":
        body = json.dumps(result, default=_json_time).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": request_id}
        return Answer(200, headers, body)
    serializer = get_serializer_class(model.service_name, model.protocol)
    context = SerializationContext(request_id)
    made = serializer(_operation(service, action), context=context).serialize(result)
    text = made["body"]
    body = text.encode() if isinstance(text, str) else text
    return Answer(200, {"Content-Type": "text/xml;charset=UTF-8"}, body)


def _json_time(value: object) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value).__name__)


def write_refusal(service: str, refusal: Refusal, request_id: str) -> Answer:
    """The bytes of an error in the service's own protocol."""
    code, message = refusal.code, _escape(refusal.message)
    if service in {"ec2", "sts", "iam"}:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if service == "ec2":
            text = (
                f"<Response><Errors>{error}</Errors><RequestID>{request_id}</RequestID></Response>"
            )
        else:
            text = f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return Answer(refusal.status, {"Content-Type": "text/xml"}, (head + text).encode())
    body = json.dumps({"__type": code, "message": refusal.message}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code}
    return Answer(refusal.status, headers, body)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Moto:
    """moto's WSGI application, asked inside this process."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._app = DomainDispatcherApplication(create_backend_app)
        self._local = threading.local()

    def pass_on(self, environ: dict[str, Any], body: bytes | None = None) -> Answer:
        """Let moto answer a request as it came; an EC2 error gets AWS's own status."""
        environ = {**environ, "HTTP_X_MOTO_ACCOUNT_ID": self._account}
        if body is not None:
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        chunks, status, headers = run_wsgi_app(self._app, environ)
        content = b"".join(chunks)
        number = int(status.split()[0])
        code = _CODE.search(content) if number == _ERRORS_FROM else None
        if code:
            number = status_of(code[1].decode())
        return Answer(number, dict(headers), content)

    def call(self, region: str, action: str, params: Shape, service: str = "ec2") -> Shape:
        """Ask moto something in the SDK's shapes. Raises Refusal as AWS would."""
        model = _operation(service, action)
        protocol = get_service_model(MODELS.get(service, service)).protocol
        serializer = create_serializer(protocol, include_validation=False)
        request: Shape = dict(serializer.serialize_to_request(params, model))
        body = request["body"]
        scope = f"Credential=sandbox/20260101/{region}/{service}/aws4_request"
        sign = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"
        headers = {**_FORM, **request["headers"], "Authorization": sign}.items()
        environ = EnvironBuilder(
            method="POST",
            data=urlencode(body) if isinstance(body, dict) else body,
            headers=headers,
        ).get_environ()
        answer = self.pass_on(environ)
        parsed: Shape = create_parser(protocol).parse(
            {"status_code": answer.status, "headers": answer.headers, "body": answer.body},
            model.output_shape,
        )
        if answer.status >= _ERRORS_FROM:
            error = parsed["Error"]
            raise Refusal(error["Code"], error["Message"], answer.status)
        parsed.pop("ResponseMetadata", None)
        return parsed

    def reset(self) -> None:
        """Forget every account, as moto's own reset does."""
        environ = EnvironBuilder(method="POST", path="/moto-api/reset").get_environ()
        run_wsgi_app(self._app, environ)
