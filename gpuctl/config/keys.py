"""Every key there is: what it may hold, why it is there, and what holds without it.

The one source of truth: reading, `config set`, the JSON Schema for editors and the reference in
the documentation all come from these tables.
"""

import re

from gpuctl.config.model import MY_IP, Output, Overhead, Tunnel
from gpuctl.config.shapes import (
    Amount,
    Choice,
    Count,
    Day,
    Duration,
    Flag,
    Percent,
    Shape,
    Text,
)
from gpuctl.config.tables import Key, ListOf, MapOf, Table
from gpuctl.config.words import (
    CURRENCY,
    GB,
    GCP_PROJECT,
    LINE,
    LOGIN,
    NAME,
    PROJECT,
    REGION,
    ROLE,
    TEXT,
    TYPE,
    VM,
    WORD,
    ZONE,
    Source,
)
from gpuctl.core.kinds import MarketPolicy

DISK_TYPES = {"aws": "gp3", "gcp": "pd-balanced"}
"""The disk type that is meant where none is named."""

_CHECKPOINT = Table(
    Key(
        "dir", LINE, "Directory on the machine where the job keeps its checkpoints.", required=True
    ),
    Key("command", TEXT, "Command run on the machine to make the job save itself."),
    Key(
        "signal",
        Choice(("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")),
        "Signal sent to the job when its machine is about to end.",
        default="SIGTERM",
    ),
    Key("interval", Duration(), "How often checkpoints are copied to the bucket.", default="15m"),
    Key(
        "bucket",
        Text(r"(?:s3|gs)://[a-z0-9][a-z0-9._-]+(?:/\S*)?", word='bucket such as "s3://name/path/"'),
        "Where checkpoints are copied, so that they outlive the machine.",
    ),
)

TEMPLATE = Table(
    Key("provider", Choice(("aws", "gcp")), "Which cloud.", required=True, also=("cloud",)),
    Key("type", TYPE, "The machine type tried first.", required=True, also=("instance_type",)),
    Key(
        "fallbacks",
        ListOf(TYPE),
        "Types tried in this order when the first cannot be had or costs too much.",
    ),
    Key(
        "market",
        Choice(MarketPolicy),
        "How the machine is bought.",
        default="spot",
        also=("spot", "lifecycle"),
    ),
    Key(
        "max_price",
        Amount("USD an hour", positive=True),
        "Most that is paid for the type chosen; without it, up to the on-demand price.",
        also=("max_hourly", "price"),
    ),
    Key("regions", ListOf(REGION), "Where to look; without it, the regions set for the provider."),
    Key("zones", ListOf(ZONE), "Only these zones; without it, all zones of the regions."),
    Key(
        "image",
        WORD,
        "An image of yours as `NAME@VERSION` or `NAME@stable`; on AWS also `ami-…` and "
        "`ssm:/parameter/path`, on Google `project/family` and `projects/P/global/images/NAME`.",
        also=("ami", "image_family", "image_id"),
    ),
    Key("user", LOGIN, "Login name on the image.", default="ubuntu"),
    Key(
        "disk",
        Table(
            Key("gb", GB, "Size: GB on AWS, GiB on Google.", default=100, also=("size", "size_gb")),
            Key("type", WORD, "Disk type; without it `gp3` on AWS, `pd-balanced` on Google."),
            Key("iops", Count(100, 400_000), "IOPS bought, where they are bought apart."),
            Key("throughput", Count(1, 10_000), "MB/s bought, where they are bought apart."),
            Key(
                "init_rate",
                Count(100, 300),
                "MiB/s at which AWS fills it from the image, for a price at each start; without "
                "it, blocks come as they are first read.",
            ),
            always=True,
        ),
        "The disk the machine starts from; it ends with the machine.",
    ),
    Key(
        "data",
        Table(
            Key("name", NAME, "Its name: the same name is attached again.", required=True),
            Key("gb", GB, "Size: GB on AWS, GiB on Google.", required=True),
            Key("type", WORD, "Disk type; without it `gp3` on AWS, `pd-balanced` on Google."),
            Key(
                "mount",
                Text(r"/\S*", word="absolute path"),
                "Where it belongs on the machine; `setup` mounts it.",
                default="/data",
            ),
        ),
        "A volume that survives its machines (and is billed while it exists).",
    ),
    Key(
        "gpu",
        Table(
            Key("type", WORD, "Accelerator type such as `nvidia-tesla-t4`.", required=True),
            Key("count", Count(1, 16), "How many.", default=1),
        ),
        "GPU attached to a Google type that has none of its own (N1).",
        also=("accelerator",),
    ),
    Key("vm", VM, "An existing Google VM to start and stop, never created.", also=("instance",)),
    Key(
        "ttl",
        Duration(),
        "How long a machine may live: then it ends itself, whatever became of this computer.",
        default="8h",
        also=("max_lifetime", "timeout"),
    ),
    Key(
        "idle_stop",
        Duration(off=True),
        "How long GPU and sessions may be idle before the machine ends.",
        default="30m",
        also=("idle", "idle_timeout"),
    ),
    Key("budget", Amount(positive=True), "Most that one session may cost."),
    Key(
        "ssh_from",
        ListOf(Source(), single=True),
        'Who may reach port 22: "my-ip" and CIDRs.',
        default=MY_IP,
        also=("security", "cidr"),
    ),
    Key(
        "tunnel",
        Choice(Tunnel),
        "How SSH reaches the machine; all but `ssh` open no inbound port.",
        default="ssh",
    ),
    Key("subnet", WORD, "Subnet to start in; without it the zone's default."),
    Key("instance_profile", WORD, "AWS instance profile given to the machine."),
    Key(
        "service_account",
        Text(r"[a-z0-9][a-z0-9._-]*@[a-z0-9][a-z0-9.-]+", word="address of a service account"),
        "Google service account given to the machine, for its bucket alone.",
    ),
    Key("checkpoint", _CHECKPOINT, "How a job saves itself before its machine ends."),
    Key("setup", TEXT, "Shell command run once on a new machine, as soon as it can be reached."),
    always=True,
)

_MARKUP = "Added to the cost of every project, e.g. 15%."

PROJECT_POLICY = Table(
    Key("title", LINE, "Name for people, printed on reports.", also=("name",)),
    Key("template", NAME, "Template used when none is named.", also=("machine",)),
    Key(
        "budget",
        Table(
            Key("month", Amount(), "USD a calendar month (UTC)."),
            Key("session", Amount(positive=True), "USD a session."),
            Key("total", Amount(), "USD in all, since the ledger began."),
            Key(
                "warn",
                ListOf(Count(1, 200)),
                "Per cents at which to say so.",
                default=[50, 80, 100],
            ),
            Key(
                "hard",
                Flag(),
                "Refuse new machines when it is used up; what it leaves is their deadline.",
                default=False,
            ),
        ),
        "Limits of what the project may spend.",
    ),
    Key("markup", Percent(), "Instead of the client's."),
    Key("absorbed", Flag(), "Instead of the client's: you bear the cost, it is never billed."),
    Key("since", Day(), "First day of the project.", also=("from", "start")),
    Key("tags", MapOf("tag", LINE, LINE), "Anything to print on reports, e.g. an order number."),
    Key("archived", Flag(), "Hidden from lists and closed to new machines.", default=False),
)

CLIENT_POLICY = Table(
    Key("name", LINE, "Name for people, printed on reports.", also=("title",)),
    Key("currency", CURRENCY, "What the client is billed in; costs stay in USD.", default="USD"),
    Key("markup", Percent(), _MARKUP, default="0%"),
    Key("absorbed", Flag(), "You bear the costs: they are shown and never billed.", default=False),
    Key(
        "cap",
        Table(
            Key(
                "month",
                Amount(),
                "USD of cost a month above which nothing more is passed on; markup is on top.",
            )
        ),
        "The most of the cost that is passed on.",
    ),
    Key(
        "retainer",
        Table(
            Key("month", Amount("the client's currency"), "Fixed monthly fee.", required=True),
            Key("included", Amount(), "USD of cloud cost that the fee includes.", default="0"),
        ),
        "A fixed fee that includes some cost.",
    ),
    Key(
        "rounding",
        Amount("the client's currency", positive=True),
        "Step of billed amounts; without it the currency's smallest coin.",
    ),
    Key("contact", LINE, "Whom reports are for."),
    Key("address", ListOf(LINE), "Its address, line by line, printed on statements."),
    Key("vat", LINE, "The client's VAT number, printed on reports."),
    Key("vat_rate", Percent(), "VAT that you add to its statements; without it, no VAT line."),
    Key(
        "overhead",
        Choice(Overhead),
        "Its share of costs that are no project's own (images, idle disks), where `overhead.share` "
        "is on: by its machine-hours, none, or an amount that you agreed on (none by gpuctl).",
        default="by-hours",
        also=("share_overhead",),
    ),
    Key("aws_profile", WORD, "AWS profile of the client's own account; its machines run there."),
    Key("aws_role", ROLE, "Role to assume in the client's own AWS account."),
    Key("gcp_project", GCP_PROJECT, "The client's own Google project."),
    Key(
        "project",
        MapOf("project", PROJECT_POLICY, NAME),
        "The client's projects.",
        also=("projects",),
    ),
)

EVENTS = ("interrupted", "resumed", "budget", "ttl", "job-done", "leftover")

USER = Table(
    Key(
        "defaults",
        Table(
            Key("project", PROJECT, "Project used when none is named."),
            Key(
                "template",
                NAME,
                "Template used when none is named.",
                default="l4-spot",
                also=("machine",),
            ),
            Key("region", REGION, "Region looked in first."),
            Key(
                "output", Choice(Output), "How data is printed.", default="table", also=("format",)
            ),
            always=True,
        ),
        "What holds when neither flag, environment nor project file says otherwise.",
    ),
    Key(
        "limits",
        Table(
            Key("max_hourly", Amount("USD an hour", positive=True), "Dearest machine allowed."),
            Key("max_machines", Count(0, 1000), "Most machines at one time."),
            Key("max_lifetime", Duration(), "Ceiling of every `ttl`.", default="24h"),
            Key("month", Amount(), "USD that everything together may cost a month."),
            always=True,
        ),
        "Ceilings over everything, whatever a template or a project allows.",
    ),
    Key(
        "aws",
        Table(
            Key("profile", WORD, "Named profile of the AWS SDK; without it, the SDK's own choice."),
            Key("role", ROLE, "Role to assume."),
            Key(
                "regions",
                ListOf(REGION),
                "Where to look and audit; without it, all enabled regions.",
            ),
            Key(
                "subnet", MapOf("region", WORD, REGION), "Subnet by region, where not the default."
            ),
            always=True,
        ),
        "The AWS account. Credentials stay where the AWS SDK keeps them.",
    ),
    Key(
        "gcp",
        Table(
            Key(
                "project",
                GCP_PROJECT,
                "Google project that pays; without it, Google's own default.",
            ),
            Key("zones", ListOf(ZONE), "Where to look."),
            always=True,
        ),
        "The Google project. Credentials stay where Google's SDK keeps them.",
        also=("google",),
    ),
    Key(
        "notify",
        Table(
            Key(
                "urls",
                ListOf(
                    Text(r"[a-z][a-z0-9+.-]*://\S+|env:\w+|cmd:.+", word="address, env:… or cmd:…")
                ),
                "Where to: an https:// webhook, ntfy://HOST/TOPIC, `env:NAME` that holds one, or "
                "`cmd:PROGRAM …`, run without a shell (`{}` and standard input are the text; an "
                "address that it prints is sent to).",
            ),
            Key("events", ListOf(Choice(EVENTS)), "What about; without it, everything."),
            always=True,
        ),
        "Whom to tell of what.",
    ),
    Key(
        "xero",
        Table(
            Key("account", WORD, "Code of the income account.", default="200"),
            Key(
                "tax_type",
                LINE,
                "Name of the tax rate in Xero; without it `Tax on Sales`, or `Tax Exempt` where "
                "the client has no VAT.",
            ),
            Key("due_days", Count(0, 365), "Days until an invoice is due.", default=30),
            Key(
                "dates",
                Choice(("DD/MM/YYYY", "MM/DD/YYYY")),
                "How the organisation's region writes dates.",
                default="DD/MM/YYYY",
            ),
            Key("tracking", LINE, "Tracking category whose options are projects."),
            always=True,
        ),
        "How invoices are filed in Xero.",
    ),
    Key(
        "overhead",
        Table(
            Key(
                "share",
                Flag(),
                "Share what is no project's own among clients, each month by machine-hours.",
                default=False,
            ),
            always=True,
        ),
        "Costs of images, idle disks and idle addresses that no project is named for.",
    ),
    Key(
        "me",
        Table(
            Key("name", LINE, "Your name or your company's."),
            Key("address", ListOf(LINE), "Your address, line by line."),
            Key("vat", LINE, "Your VAT number, printed as it stands."),
            Key("contact", LINE, "How clients reach you."),
            always=True,
        ),
        "Who sends statements: printed at their head.",
        also=("sender", "self"),
    ),
    Key(
        "template",
        MapOf("template", TEMPLATE, NAME),
        "Recipes for machines. A table named like a built-in one changes only the keys it names.",
        also=("machine", "templates", "profile", "profiles"),
    ),
    Key(
        "client",
        MapOf("client", CLIENT_POLICY, NAME),
        "Whom the money is for.",
        also=("clients", "project", "projects"),
    ),
)

PROJECT_FILE = Table(
    Key("project", PROJECT, "Whose work this directory is."),
    Key("template", NAME, "Template used here when none is named.", also=("machine",)),
    Key(
        "sync",
        Table(
            Key("push", ListOf(LINE), "Paths copied to the machine.", default=["."]),
            Key("pull", ListOf(LINE), "Paths copied back."),
            Key("exclude", ListOf(LINE), "Patterns left out of both.", also=("ignore",)),
            always=True,
        ),
        "What `push` and `pull` copy, relative to this file.",
    ),
    Key(
        "run",
        Table(
            Key("setup", TEXT, "Shell command run on the machine before each job."),
            Key(
                "env",
                ListOf(Text("[A-Za-z_][A-Za-z0-9_]*", word="name of a variable (names only)")),
                "Names of variables passed through from your shell; never their values.",
            ),
            always=True,
        ),
        "How `run` prepares a job.",
    ),
    Key(
        "ports",
        MapOf("name", Count(1, 65_535), Text("[a-z][a-z0-9-]{0,29}", word="name of a port")),
        "Names for `gpuctl tunnel`.",
    ),
)

MERGED = Table(
    *USER.keys.values(),
    *(PROJECT_FILE.keys[name] for name in ("sync", "run", "ports")),
    always=True,
)
"""All settings together. The project file's own `project` and `template` become defaults."""

TABLES = {"user": USER, "project": PROJECT_FILE}


def dotted(path: "tuple[str | int, ...]") -> str:
    """A path as TOML writes it: `client.acme.markup`, `template."my box".type`, `regions[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
        text += ("." if text else "") + (part if bare else '"' + part.replace('"', '\\"') + '"')
    return text


def shape_at(table: Table, path: tuple[str, ...]) -> Shape | None:
    """What may stand at a path; None where there is no such key."""
    shape: Shape = table
    for part in path:
        if isinstance(shape, Table) and part in shape.keys:
            shape = shape.keys[part].shape
        elif isinstance(shape, MapOf):
            shape = shape.item
        else:
            return None
    return shape
