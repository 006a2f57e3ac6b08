"""A day's commands with secrets planted: what is asked of the clouds, written down and said.

Every request is read: nothing beyond the published rights, no door open to the world, no secret.
Every file and every word on the terminal is searched for the secrets.
"""

import base64
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from gpuctl.providers.gcp.calls import Call as GcpCall
from gpuctl.providers.gcp.role import NEEDS
from tests.faults.cases import Result, Row, Stage
from tests.faults.proxy import Answer, Call, Plan, aws_error
from tests.faults.world import ROOT, World

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "canaryAWSsecretKEYcanaryAWSsecretKEY0000",
    "HF_TOKEN": "hf_canaryTOKENcanaryTOKENcanaryTOKEN00",
    "WANDB_API_KEY": "canary5e7a11canary5e7a11canary5e7a11canar",
}
_PUBLIC = 0o077
_PROJECT_FILE = '[run]\nenv = ["HF_TOKEN"]\n'
_EVERYBODY = re.compile(r'(?:0\.0\.0\.0|::)/0|"sourceRanges": \[\s*\]')

DAY: Mapping[str, Sequence[Sequence[str]]] = {
    "aws": (
        ("--debug", "up", "-p", "acme/vision", "-y"),
        ("ps", "--json"),
        ("ssh", "--", "true"),
        ("extend", "--by", "1h"),
        ("switch", "vision-1", "acme/nlp"),
        ("offers", "--json"),
        ("audit", "--fix", "-y"),
        ("doctor",),
        ("ami", "list"),
        ("price", "update"),
        ("--debug", "down", "--all", "-y"),
        ("ledger", "export", "--all"),
        ("config", "show", "--origin"),
    ),
    "gcp": (
        ("--debug", "up", "-p", "acme/nlp", "-y"),
        ("ps", "--json"),
        ("ssh", "--", "true"),
        ("extend", "--by", "1h"),
        ("audit", "--fix", "-y"),
        ("doctor",),
        ("down", "--all", "-y"),
        ("up", "-p", "acme/nlp", "-y"),
        ("--debug", "down", "--all", "--delete", "-y"),
        ("ledger", "rebuild", "--dry-run"),
    ),
}
REFUSED = (("ps",), ("up", "-y", "-p"), ("audit",), ("doctor",))
"""With --debug, by a cloud that refuses all: tracebacks are printed."""


@dataclass
class Day:
    """One home and everything that left it."""

    stage: Stage
    sent: list[tuple[Call, str]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, refusing: bool = False) -> Result:
        self.sent.clear()
        stage = self.stage
        stage.done.clear()
        stage.run(
            *argv,
            plan=Plan(judge=self._refuse if refusing else self._note),
            environ=SECRETS,
            timeout=30,
        )
        case = f"{stage.cloud} {' '.join(argv)}{', refused' if refusing else ''}"
        wrong = [*self._asked(), *self._kept(), *self._said()]
        # With --debug a refusal is told with its traceback: that is what it is for.
        found = wrong if refusing else [*wrong, *stage.crashes()]
        return Result(case, tuple(found), tuple(map(str, stage.done)) if found else ())

    def _note(self, call: Call, body: str) -> None:
        self.sent.append((call, body))

    def _refuse(self, call: Call, body: str) -> Answer:
        self.sent.append((call, body))
        if call.cloud == "aws":
            return aws_error(call.action, "UnauthorizedOperation")
        error = {"code": 403, "message": "no", "errors": [{"reason": "forbidden"}]}
        return Answer(403, "application/json", json.dumps({"error": error}).encode())

    def _asked(self) -> Iterator[str]:
        allowed = _rights()[self.stage.cloud]
        for call, body in self.sent:
            if call.action not in allowed and not call.action.startswith("GET /v1/services"):
                yield f"beyond the published rights: {call.action}"
            told = body + _unpacked(body)
            yield from (f"{name} is sent in {call.action}" for name in _secrets_in(told))
            yield from _open(call, told)

    def _kept(self) -> Iterator[str]:
        for path in sorted(self.stage.home.rglob("*")):
            if path.is_symlink() or "run-" in str(path) or path.name == "gpuctl.toml":
                continue
            mode = path.stat().st_mode
            if mode & _PUBLIC and not path.is_socket():
                yield f"others can read {path.relative_to(self.stage.home)}: {mode & 0o777:o}"
            if path.is_file():
                found = _secrets_in(path.read_bytes().decode(errors="replace"))
                yield from (f"{name} is kept in {path.name}" for name in found)

    def _said(self) -> Iterator[str]:
        for done in self.stage.done:
            yield from (f"{name} is told" for name in _secrets_in(done.out + done.err))


def _secrets_in(text: str) -> list[str]:
    return [name for name, value in SECRETS.items() if value in text]


def _unpacked(body: str) -> str:
    """What a launch carries for the machine to read: user data, startup script."""
    found = []
    data = parse_qs(body).get("UserData", [])
    data += re.findall(r'"(?:startup-script|user-data)",\s*"value":\s*"((?:[^"\\]|\\.)*)"', body)
    for text in data:
        try:
            raw = base64.b64decode(text, validate=True)
            raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        except (ValueError, zlib.error):
            raw = text.encode()
        found.append(raw.decode(errors="replace"))
    return "\n".join(found)


def _open(call: Call, body: str) -> Iterator[str]:
    if call.action in ("AuthorizeSecurityGroupIngress", "firewalls.insert", "firewalls.patch"):
        if _EVERYBODY.search(body.replace("%2F", "/").replace("%3A", ":")):
            yield f"open to the world: {call.action}"
        if call.action.startswith("firewalls.") and '"sourceRanges"' not in body:
            yield f"open to the world: {call.action} without a source"
    if call.action == "RunInstances":
        form = parse_qs(body)
        if form.get("MetadataOptions.HttpTokens") != ["required"]:
            yield "a launch without IMDSv2"
        shutdown = form.get("InstanceInitiatedShutdownBehavior")
        if shutdown != ["terminate"]:
            yield f"a launch whose shutdown is {shutdown}"
        if any(v != ["true"] for k, v in form.items() if k.endswith("Ebs.Encrypted")):
            yield "a launch with an open disk"


def _rights() -> Mapping[str, set[str]]:
    """What the published documents give, as names of calls."""
    policy = json.loads((ROOT / "docs/aws-policy.json").read_text())
    named = {name for one in policy["Statement"] for name in one["Action"]}
    role = set(re.findall(r"compute\.\w+\.\w+", (ROOT / "docs/gcp-role.yaml").read_text()))
    calls = {_wire_name(call) for call, needs in NEEDS.items() if set(needs) <= role}
    return {"aws": {name.partition(":")[2] for name in named}, "gcp": calls}


def _wire_name(call: GcpCall) -> str:
    """`zone_operations`, `wait` -> `zoneOperations.wait`."""
    words = (call.service, call.method.removesuffix("_unary"))
    return ".".join(re.sub("_(.)", lambda m: m[1].upper(), word) for word in words)


def every_command(world: World, full: bool, seed: int) -> Iterator[Result]:
    del seed
    for cloud, commands in DAY.items() if full else [("aws", DAY["aws"][:1] + DAY["aws"][-3:])]:
        stage = Stage(world, cloud)
        (stage.home / "gpuctl.toml").write_text(_PROJECT_FILE)
        day = Day(stage)
        for argv in commands:
            yield day.run(argv)
            world.pass_time(minutes=7)
        for argv in REFUSED if full else REFUSED[:1]:
            words = [*argv, stage.project] if argv[-1] == "-p" else argv
            yield day.run(("--debug", *words), refusing=True)


ROWS = (
    Row(
        "guard",
        "a day's commands on both clouds with secrets planted, --debug too, and a cloud that "
        "refuses all",
        "no request beyond the published rights, no door open to the world, IMDSv2 and encryption; "
        "no secret sent, kept or told; files 0600, directories 0700",
        30,
        every_command,
    ),
)
