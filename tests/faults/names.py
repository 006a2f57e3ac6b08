"""Hostile words wherever words come in: arguments, settings, records, clouds, consoles.

Whatever they are, nothing in them is executed, no file is made outside the directories, the
terminal is not driven, and the program ends with a word of its own.
"""

import base64
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.faults.cases import Result, Row, Stage
from tests.faults.heard import HEARD, misheard
from tests.faults.proxy import Answer, Call, Plan, aws_error
from tests.faults.words import WORDS
from tests.faults.world import PROJECT, World

CODES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 75, 125, 130}
_DRIVES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")
_OWN = ("config", "data", "cache", "state", "logs", "keys", "ssh")
"""What may come into being below GPUCTL_HOME."""


@dataclass
class Scene:
    """A world in which hostile words are said, and what must be as it was."""

    stage: Stage
    word: str

    def __post_init__(self) -> None:
        self.world = self.stage.world
        self.canary = self.world.folder / "canary"
        self.canary.unlink(missing_ok=True)
        self.said = WORDS[self.word].replace("{c}", str(self.canary))
        self._before = self._around()

    def _around(self) -> set[str]:
        """What lies about outside the program's own directories."""
        folder, home = self.world.folder, self.stage.home
        own = ("guards", "h", "run-", "clock.")
        near = {str(p) for p in folder.iterdir() if not p.name.startswith(own)}
        homely = {str(p) for p in home.iterdir() if not p.name.startswith(("run-", "clock."))}
        above = (str(p) for p in folder.parent.iterdir())
        return near | homely | {p for p in above if "outside" in p or "canary" in p}

    def run(self, *argv: str, plan: Plan | None = None) -> None:
        """A command as on a terminal."""
        self.stage.run(*argv, plan=plan, terminal=True)

    def wrong(self) -> list[str]:
        """Everything that should not have happened."""
        found = []
        if self.canary.exists():
            found.append("something said was executed")
        own = {str(self.stage.home / name) for name in _OWN}
        found += [f"outside the directories: {p}" for p in self._around() - self._before - own]
        for done in self.stage.done:
            if done.code not in CODES:
                found.append(f"exit {done.code}: {done}")
            if drives := _DRIVES.search(done.out + done.err):
                found.append(f"drives the terminal: {drives[0]!r} of {done.argv[0]}")
            if len(done.err) > 200_000:
                found.append(f"{len(done.err)} characters of talk")
        return found

    def result(self, place: str) -> Result:
        return self.stage.result(f"{self.stage.cloud} {place}: {self.word}", self.wrong())


# On the command line

ARGUMENTS: Mapping[str, Callable[[str], Sequence[str]]] = {
    "up NAME": lambda word: ("up", "--dry-run", "-p", "acme/vision", "--", word),
    "up -p": lambda word: ("up", "-y", "--detach", "-p", word),
    "up -t": lambda word: ("up", "-y", "-t", word, "-p", "acme/vision"),
    "up --ttl": lambda word: ("up", "-y", "--ttl", word, "-p", "acme/vision"),
    "ssh NAME": lambda word: ("ssh", "--", word, "true"),
    "run -p": lambda word: ("run", "-p", word, "--", "true"),
    "down NAME": lambda word: ("down", "-y", "--", word),
    "switch": lambda word: ("switch", "vision-1", word),
    "assign": lambda word: ("assign", "--", word, "acme/vision"),
    "adjust --note": lambda word: (
        *("adjust", "acme/vision", "-1.20", "--note", word),
        *("--at", "2026-01-01"),
    ),
    "report --client": lambda word: ("report", "--client", word),
    "report --month": lambda word: ("report", "--month", word),
    "template add": lambda word: ("template", "add", "--", word),
    "client add": lambda word: ("client", "add", "--", word),
    "client name": lambda word: ("client", "set", "acme", "name", word),
    "config set": lambda word: ("config", "set", "--", "ssh.from", word),
    "ledger import": lambda word: ("ledger", "import", "--", word),
    "logs": lambda word: ("logs", "--", word),
    "ami list": lambda word: ("ami", "list", "-p", word),
    "extend": lambda word: ("extend", "--by", word),
}


def typed(world: World, place: str, word: str) -> Result:
    """Hostile words as an argument, on an account that is not asked."""
    scene = Scene(_still(world, "aws"), word)
    scene.run(*ARGUMENTS[place](scene.said), plan=_silent())
    scene.run("report", "-o", "csv", plan=_silent())
    return scene.result(place)


def _still(world: World, cloud: str) -> Stage:
    """A home and no cloud made anew: nothing here comes to change one."""
    stage = Stage.__new__(Stage)
    stage.world, stage.cloud, stage.mutant, stage.done = world, cloud, None, []
    stage.home = world.home((cloud,)) if cloud in PROJECT else world.folder
    return stage


def _silent() -> Plan:
    """Refuses whatever would cost."""

    def meet(call: Call, body: str) -> Answer | None:
        costs = call.action in ("RunInstances", "instances.insert")
        return aws_error(call.action, "UnauthorizedOperation") if costs else None

    return Plan(judge=meet)


# In files

SETTINGS: Mapping[str, str] = {
    "image": '[client.acme.project.vision]\ntemplate = "aws"\n[template.evil]\nprovider = "aws"\n'
    'type = "g6.xlarge"\nimage = WORD\n',
    "user": '[template.evil]\nprovider = "aws"\ntype = "g6.xlarge"\nimage = "ami-1"\nuser = WORD\n',
    "title": "[client.acme]\ntitle = WORD\n",
    "table": "[template.WORD]\nprovider = 1\n",
    "unknown": "WORD = 1\n",
    "regions": "[aws]\nregions = [WORD]\n",
    "profile": "[aws]\nprofile = WORD\n",
    "ssh_from": "[ssh]\nfrom = WORD\n",
    "zone": "[gcp]\nzones = [WORD]\n",
    "raw": "",
}


def set_to(world: World, place: str, word: str) -> Result:
    """Hostile words in the settings."""
    scene = Scene(_still(world, "aws"), word)
    config = scene.stage.home / "config" / "config.toml"
    quoted = json.dumps(scene.said, ensure_ascii=False).replace("\x7f", "\\u007f")
    text = SETTINGS[place].replace("WORD", quoted) if SETTINGS[place] else scene.said
    config.write_bytes(text.encode("utf-8", "surrogateescape"))
    for argv in (("config", "validate"), ("template", "list"), ("up", "-t", "evil", "--dry-run")):
        scene.run(*argv, plan=_silent())
    return scene.result(f"setting {place}")


RECORDS: Mapping[str, tuple[Mapping[str, object], ...]] = {
    "resource": ({"resource": "WORD"},),
    "project": ({"project": "WORD"},),
    "sku": ({"sku": "WORD"},),
    "zone": ({"zone": "WORD", "region": "WORD"},),
    "id": ({"id": "WORD"},),
    "kind": ({"kind": "WORD"},),
    "start": ({"start": "WORD"},),
    "quantity": ({"quantity": "WORD"},),
    "extra": ({"WORD": "WORD"},),
}
_USAGE = {
    "v": 1,
    "type": "usage",
    "id": "u1",
    "provider": "aws",
    "account": "111122223333",
    "region": "us-east-1",
    "zone": "us-east-1a",
    "resource": "i-0abc",
    "kind": "compute",
    "sku": "g6.xlarge",
    "market": "spot",
    "quantity": "1",
    "start": "2025-03-10T14:05:30Z",
    "end": "2025-03-10T16:18:50Z",
    "ended_by": "user",
    "project": "acme/vision",
}
_READ = (
    ("spend", "--from", "2025-03-01", "--to", "2025-04-01"),
    ("report", "--month", "2025-03"),
    ("report", "--month", "2025-03", "-o", "csv"),
    ("report", "--month", "2025-03", "--format", "beancount"),
    ("ledger", "export"),
)


def recorded(world: World, place: str, word: str) -> Result:
    """Hostile words in records that are imported, and in all that is made of them."""
    scene = Scene(_still(world, "aws"), word)
    (change,) = RECORDS[place]
    told = {
        (scene.said if key == "WORD" else key): (scene.said if value == "WORD" else value)
        for key, value in {**_USAGE, **change}.items()
    }
    file = scene.stage.home / "config" / "records.jsonl"
    file.write_text(json.dumps(told) + "\n")
    scene.run("ledger", "import", str(file))
    if scene.stage.done[-1].code == 0:
        for argv in _READ:
            scene.run(*argv)
    return scene.result(f"record's {place}")


# From the clouds

TAGS = (
    "Name",
    "gpuctl:project",
    "gpuctl:lease",
    "gpuctl:user",
    "gpuctl:template",
    "gpuctl:install",
)
LABELS = ("gpuctl-project", "gpuctl-lease", "gpuctl-user", "gpuctl-deadline", "gpuctl-template")
_LOOKS = (
    ("ps",),
    ("ps", "-o", "csv"),
    ("ps", "--json"),
    ("audit", "-o", "csv"),
    ("ssh-config", "show"),
    ("ssh", "--", "true"),
    (),
)


def tagged(world: World, stage: Stage, tag: str, word: str) -> Result:
    """A machine's tag comes back as something else."""
    scene = Scene(_later(stage), word)
    swap = _aws_tag if stage.cloud == "aws" else _gcp_label
    for argv in _LOOKS:
        scene.run(*argv, plan=Plan(rewrite=lambda call, body: swap(body, tag, scene.said)))
    return scene.result(f"tag {tag}")


def _later(stage: Stage) -> Stage:
    """Another laptop, before the same clouds."""
    return _still(stage.world, stage.cloud)


def _aws_tag(body: bytes, tag: str, word: str) -> bytes:
    text = body.decode(errors="replace")
    pattern = rf"(<key>{re.escape(tag)}</key>\s*<value>)[^<]*(</value>)"
    return re.sub(pattern, lambda m: m[1] + _xml(word) + m[2], text).encode()


def _xml(word: str) -> str:
    """As XML can carry it: most control characters cannot be there at all."""
    kept = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", "", word)
    return escape(kept, {"\r": "&#13;"})


def _gcp_label(body: bytes, label: str, word: str) -> bytes:
    try:
        told = json.loads(body)
    except ValueError:
        return body
    for part in _objects(told):
        labels = part.get("labels")
        if isinstance(labels, dict) and label in labels:
            labels[label] = word
    return json.dumps(told).encode()


def _objects(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


SAYINGS = ("message", "console", "description", "reason", "address")


def told(world: World, stage: Stage, what: str, word: str) -> Result:
    """Messages, console output, descriptions, reasons and addresses of the clouds."""
    scene = Scene(_later(stage), word)
    plan = {
        "message": lambda: Plan(judge=_refusing(stage.cloud, scene.said)),
        "console": lambda: Plan(rewrite=_console(scene.said)),
        "description": lambda: Plan(
            rewrite=_replaced(("description", "imageLocation", "imageOwnerAlias"), scene.said)
        ),
        "reason": lambda: Plan(
            rewrite=_replaced(("reason", "message", "statusMessage"), scene.said)
        ),
        "address": lambda: Plan(
            rewrite=_replaced(("ipAddress", "natIP", "dnsName", "publicIp"), scene.said)
        ),
    }[what]
    for argv in (
        ("ps",),
        ("ssh", "--", "true"),
        ("audit",),
        ("ami", "list"),
        ("logs",),
        ("doctor",),
    ):
        scene.run(*argv, plan=plan())
    return scene.result(f"cloud's {what}")


def _refusing(cloud: str, word: str):
    def meet(call: Call, body: str) -> Answer | None:
        if call.cloud == "aws":
            made = aws_error(call.action, "UnauthorizedOperation", "WORD")
            text = made.body.decode().replace("WORD", _xml(word))
            if "json" in made.kind:
                text = made.body.decode().replace('"WORD"', json.dumps(word))
            return Answer(made.status, made.kind, text.encode("utf-8", "replace"))
        error = {"code": 403, "message": word, "errors": [{"reason": word, "message": word}]}
        told_ = json.dumps({"error": error}).encode()
        return Answer(403, "application/json; charset=UTF-8", told_)

    return meet


def _console(word: str):
    def rewrite(call: Call, body: bytes) -> bytes:
        if call.action == "GetConsoleOutput":
            output = base64.b64encode(word.encode("utf-8", "surrogateescape")).decode()
            pattern = rb"<output>.*?</output>|<output/>"
            return re.sub(pattern, f"<output>{output}</output>".encode(), body, flags=re.DOTALL)
        if call.action == "instances.getGuestAttributes":
            items = [{"namespace": "hostkeys", "key": word, "value": word}]
            return json.dumps({"queryPath": "hostkeys/", "queryValue": {"items": items}}).encode()
        return body

    return rewrite


def _replaced(names: Sequence[str], word: str):
    """These texts of every answer."""

    def rewrite(call: Call, body: bytes) -> bytes:
        if call.cloud == "gcp":
            try:
                told_ = json.loads(body)
            except ValueError:
                return body
            for part in _objects(told_):
                for name in set(names) & set(part):
                    if isinstance(part[name], str):
                        part[name] = word
            return json.dumps(told_).encode()
        text = body.decode(errors="replace")
        for name in names:
            text = re.sub(rf"(<{name}>)[^<]*(</{name}>)", lambda m: m[1] + _xml(word) + m[2], text)
        return text.encode()

    return rewrite


def heard(world: World, place: str, word: str) -> Result:
    """Hostile words from a metadata service or a driver, in the agent's own functions."""
    scene = Scene(_still(world, "agent"), word)
    wrong = misheard(place, scene.said)
    return scene.stage.result(f"agent's {place}: {word}", [*wrong, *scene.wrong()])


def every_word(world: World, full: bool, seed: int) -> Iterator[Result]:
    chance = random.Random(seed + 7)
    world.reset()
    near = [
        *((typed, place, word) for place in ARGUMENTS for word in WORDS),
        *((set_to, place, word) for place in SETTINGS for word in WORDS),
        *((recorded, place, word) for place in RECORDS for word in WORDS),
    ]
    told_agents = [(place, word) for place in HEARD for word in WORDS]
    for place, word in told_agents if full else chance.sample(told_agents, 20):
        yield heard(world, place, word)
    for number, (case, place, word) in enumerate(chance.sample(near, 500 if full else 12)):
        if number % 50 == 0:
            world.reset()
        yield case(world, place, word)
    for cloud, tags in (("aws", TAGS), ("gcp", LABELS)):
        far = [
            *((tagged, tag, word) for tag in tags for word in WORDS),
            *((told, what, word) for what in SAYINGS for word in WORDS),
        ]
        stage = Stage(world, cloud)
        stage.well("up", "-p", PROJECT[cloud], "-y")
        for case, place, word in chance.sample(far, 80 if full else 3):
            yield case(world, stage, place, word)


ROWS = (
    Row(
        "names",
        "hostile words (shell, ssh, paths, terminal, formulas, markup, huge, not Unicode) as "
        "argument, setting, record, tag, label, message, console output, address",
        "nothing in them runs, no file outside the directories, no escape on the terminal, no "
        "traceback",
        500,
        every_word,
    ),
)
