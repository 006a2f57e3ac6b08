"""Precedence, origins, and every mistake at once."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from gpuctl.config.load import load
from gpuctl.config.model import Output, Ports, Settings
from gpuctl.core.errors import ConfigError, NotFound
from gpuctl.core.kinds import Market, MarketPolicy
from gpuctl.core.model import DataVolume, DiskSpec

USER = """\
    [defaults]
    project = "acme/vision"
    region = "us-east-2"

    [limits]
    max_hourly = "2.00"
    max_machines = 3

    [aws.subnet]
    us-east-2 = "subnet-1"

    [template.mine]
    provider = "gcp"
    type = "g2-standard-4"
    zones = ["us-central1-a"]
    data = { name = "set", gb = 500 }
    ssh_from = ["my-ip", "192.0.2.0/24"]
    idle_stop = "off"

    [client.acme]
    name = "ACME"
    currency = "EUR"
    markup = "15%"
    cap = { month = "500" }

    [client.acme.project.vision]
    template = "mine"
    budget = { month = "120.00", warn = [50, 90], hard = true }
    since = 2026-09-01
    tags = { po = "ACME-1" }

    [client.acme.project.open]
    markup = "0%"
    absorbed = true
"""


def test_nothing_written_is_the_model_s_own_defaults(home):
    settings = home.load().settings
    empty = Settings(templates=settings.templates, clients={}, projects={}, ports=Ports(by_name={}))
    assert settings._replace(clients={}, projects={}, ports=Ports(by_name={})) == empty


def test_a_user_file_is_read_into_values(home):
    settings = home.user(USER).load().settings
    mine = settings.template("mine")
    assert mine.disk == DiskSpec(gb=100, type="pd-balanced")
    assert mine.data == DataVolume(name="set", disk=DiskSpec(gb=500, type="pd-balanced"))
    assert mine.idle_stop is None
    assert mine.ttl == timedelta(hours=8)
    assert mine.ssh_from == ("my-ip", "192.0.2.0/24")
    assert settings.limits.max_hourly == Decimal("2.00")
    assert settings.aws.subnet == {"us-east-2": "subnet-1"}
    acme = settings.client("acme")
    assert (acme.title, acme.currency, acme.cap_month) == ("ACME", "EUR", Decimal(500))
    vision = settings.project("acme/vision")
    assert vision.since == date(2026, 9, 1)
    assert vision.tags == {"po": "ACME-1"}
    assert vision.budget is not None
    assert (vision.budget.month, vision.budget.warn) == (Decimal("120.00"), (50, 90))
    assert vision.budget.hard


def test_a_project_overrides_its_client(home):
    settings = home.user(USER).load().settings
    assert settings.markup("acme/vision") == Decimal("0.15")
    assert settings.markup("acme/open") == 0
    assert settings.absorbed("acme/open")
    assert not settings.absorbed("acme/vision")
    assert settings.markup("nobody/x") == 0


def test_an_empty_client_is_a_client(home):
    assert "solo" in home.user("[client.solo]\n").load().settings.clients


def test_a_template_becomes_a_want(home):
    want = home.load().settings.template("v100-spot").want()
    assert want.types == ("p3.2xlarge", "g5.xlarge", "g6.xlarge", "g4dn.xlarge")
    assert want.markets == (Market.SPOT,)
    assert want.max_hourly == Decimal("0.50")


def test_a_table_named_like_a_built_in_changes_only_what_it_names(home):
    home.user('[template.v100-spot]\nimage = "ami-1"\ndisk = { gb = 250 }\n')
    template = home.load().settings.template("v100-spot")
    assert (template.image, template.type) == ("ami-1", "p3.2xlarge")
    assert template.disk == DiskSpec(gb=250, type="gp3")


def test_a_built_in_remade_for_another_cloud_inherits_nothing(home):
    home.user('[template.l4-spot]\nprovider = "gcp"\ntype = "g2-standard-4"\n')
    template = home.load().settings.template("l4-spot")
    assert (template.regions, template.image, template.fallbacks) == ((), None, ())
    assert template.disk.type == "pd-balanced"
    assert template.market is MarketPolicy.SPOT


def test_unknown_names_are_told_with_the_nearest(home):
    settings = home.user(USER).load().settings
    with pytest.raises(NotFound, match='no project "acme/vison"') as caught:
        settings.project("acme/vison")
    assert caught.value.hint == "did you mean acme/vision?"
    with pytest.raises(NotFound):
        settings.template("nothing-like-it")


PRECEDENCE = ["flag", "env", "project file", "user file", "built-in"]


@pytest.mark.parametrize("strongest", PRECEDENCE)
def test_the_strongest_source_wins_and_says_so(home, strongest):
    at = PRECEDENCE.index(strongest)
    flags = {"template": "t4-spot"} if at <= 0 else {}
    if at <= 1:
        home.environ["GPUCTL_TEMPLATE"] = "a10g-spot"
    if at <= 2:
        home.directory('\ntemplate = "gcp-l4"\n')
    if at <= 3:
        home.user('\n\n[defaults]\ntemplate = "gcp-t4"\n')
    config = home.load(**flags)
    expected = ["t4-spot", "a10g-spot", "gcp-l4", "gcp-t4", "l4-spot"][at]
    assert config.settings.defaults.template == expected
    origin = config.origin("defaults.template")
    assert origin.kind == strongest
    assert origin.line == [None, None, 2, 4, None][at]
    files = ["--template", "GPUCTL_TEMPLATE", str(home.project_file), str(home.user_file), None]
    assert origin.file == files[at]


def test_a_project_s_own_template_beats_the_user_s_default_only(home):
    home.user(USER)
    assert home.load().template_name("acme/vision") == "mine"
    assert home.load().template_name("acme/open") == "l4-spot"
    assert home.load().template_name(None) == "l4-spot"
    assert home.load(template="t4-spot").template_name("acme/vision") == "t4-spot"
    home.directory('template = "gcp-t4"\n')
    assert home.load().template_name("acme/vision") == "gcp-t4"


def test_the_environment_sets_flags(home):
    home.environ |= {"GPUCTL_OUTPUT": "json", "GPUCTL_YES": "1", "GPUCTL_DEBUG": "off"}
    defaults = home.load().settings.defaults
    assert (defaults.output, defaults.yes, defaults.debug) == (Output.JSON, True, False)
    home.environ |= {"GPUCTL_OUTPUT": "jason", "GPUCTL_YES": "perhaps"}
    first, second = home.problems()
    assert (first.file, first.key, first.suggestion) == ("environment", "GPUCTL_OUTPUT", "json")
    assert second.key == "GPUCTL_YES"


def test_a_project_file_is_found_upwards(home):
    home.directory('[sync]\npush = ["src"]\n[ports]\njupyter = 8888\n')
    home.project = home.project / "deep" / "er"
    home.project.mkdir(parents=True)
    settings = home.load().settings
    assert settings.sync.push == ("src",)
    assert settings.ports.by_name == {"jupyter": 8888}


@pytest.mark.parametrize(
    "text", ['[template.mine]\ntype = "g6.xlarge"\n', "[[template]]\n", "[limits]\n[limits.x]\n"]
)
def test_what_belongs_in_the_users_file_is_told_so(home, text):
    (told,) = home.directory(text).problems()
    assert f"belongs in your own config file, {home.user_file}" in told.reason
    assert "a project file holds project, template, sync, run, ports" in told.reason
    assert (told.file, told.line) == (str(home.project_file), 1)


def test_other_mistakes_in_a_project_file_stay_what_they_are(home):
    first, second = home.directory("template = 5\nfoo = 1\n").problems()
    assert (first.reason, second.reason) == ("is a number, not a text", "no such key")


def test_rows_tell_every_value_with_its_origin(home):
    rows = {row.key: row for row in home.user(USER).load(output="csv").rows()}
    assert rows["defaults.output"].value == '"csv"'
    assert str(rows["defaults.output"].origin) == "flag --output"
    assert rows["client.acme.project.vision.budget.warn"].value == "[50, 90]"
    assert rows["client.acme.project.vision.since"].value == "2026-09-01"
    assert str(rows["limits.max_machines"].origin) == f"{home.user_file}:7"
    assert rows["limits.max_lifetime"].origin.kind == "built-in"
    assert rows["template.v100-spot.type"].origin.kind == "built-in"


def test_every_mistake_of_every_source_at_once(home):
    home.user(
        """\
        [limits]
        max_hourly = 2.50
        max_machine = 3

        [template.mine]
        provider = "azure"
        typ = "g6.xlarge"
        disk = { gb = "100" }
        ttl = 8
        fallbacks = ["g5.xlarge", 5]

        [client.acme]
        markup = 0.15
        currency = "eur"
        [client.acme.project.vision]
        template = "v100-spto"
        since = "2026-09-01"
        """
    ).directory('project = "acme/vison"\n[run]\nenv = ["A=1"]\n')
    home.environ["GPUCTL_OUTPUT"] = "xml"
    found = [(p.line, p.key, p.suggestion) for p in home.problems()]
    assert found == [
        (2, "limits.max_hourly", '"2.50"'),
        (3, "limits.max_machine", "max_machines"),
        (6, "template.mine.provider", None),
        (7, "template.mine.typ", "type"),
        (8, "template.mine.disk.gb", "100"),
        (9, "template.mine.ttl", '"8h"'),
        (10, "template.mine.fallbacks[1]", '"5"'),
        (13, "client.acme.markup", '"15%"'),
        (14, "client.acme.currency", "EUR"),
        (17, "client.acme.project.vision.since", "2026-09-01"),
        (3, "run.env[0]", None),
        (None, "GPUCTL_OUTPUT", None),
        (5, "template.mine.type", None),
        (16, "client.acme.project.vision.template", "v100-spot"),
        (1, "project", "acme/vision"),
    ]


def test_words_of_other_tools_are_understood(home):
    home.user('[template.x]\ncloud = "aws"\ntype = "g6.xlarge"\nimage_family = "f"\n[google]\n')
    assert [p.suggestion for p in home.problems()][:3] == ["provider", "image", "gcp"]


def test_references_may_wait(home):
    home.directory('project = "acme/vision"\n')
    (problem,) = home.problems()
    assert "gpuctl project add acme/vision" in problem.reason
    config = load(home.sources(), references=False)
    assert config.settings.defaults.project == "acme/vision"


def test_an_unreadable_user_file_is_not_taken_for_an_empty_one(home):
    home.user("[client.acme\n").directory('project = "acme/vision"\n')
    (problem,) = home.problems()
    assert problem.line == 1
    assert "not TOML" in problem.reason


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ('provider = "aws"\ntype = "g6.xlarge"\nvm = "old"', "vm"),
        ('provider = "aws"\ntype = "g6.xlarge"\ngpu = { type = "nvidia-tesla-t4" }', "gpu"),
        ('provider = "aws"\ntype = "g6.xlarge"\ntunnel = "iap"', "tunnel"),
        ('provider = "aws"\ntype = "g6.xlarge"\nzones = ["us-central1-a"]', "zones"),
        ('provider = "aws"\ntype = "g6.xlarge"\ndisk = { type = "gp2", iops = 4000 }', "disk.iops"),
        ('provider = "gcp"\ntype = "g2-standard-4"\ndisk.init_rate = 200', "disk.init_rate"),
        ('provider = "gcp"\ntype = "g2-standard-4"\ntunnel = "ssm"', "tunnel"),
        ('provider = "gcp"\ntype = "g2-standard-4"\nregions = ["us-east-2"]', "regions"),
        ('provider = "gcp"\ntype = "g2-standard-4"\ninstance_profile = "p"', "instance_profile"),
        ('provider = "aws"\ntype = "g6.xlarge"\nservice_account = "a@b.c"', "service_account"),
        (
            'provider = "aws"\ntype = "g6.xlarge"\ncheckpoint = { dir = "c", bucket = "gs://box" }',
            "checkpoint.bucket",
        ),
        ('provider = "aws"\ntype = "g6.xlarge"\nttl = "3d"', "ttl"),
        ('provider = "aws"\ntype = "g6.xlarge"\nssh_from = "0.0.0.0/0"', "ssh_from[0]"),
    ],
)
def test_what_does_not_go_together_is_refused(home, keys, key):
    problems = home.user(f"[template.x]\n{keys}\n").problems()
    assert [p.key for p in problems] == [f"template.x.{key}"]
    assert problems[0].line == keys.count("\n") + 2


def test_a_lower_ceiling_shortens_built_in_templates(home):
    settings = home.user('[limits]\nmax_lifetime = "2h"\n').load().settings
    assert settings.lifetime(settings.template("l4-spot")) == timedelta(hours=2)


def test_a_file_asked_for_by_name_must_be_there(home):
    home.environ["GPUCTL_CONFIG"] = "elsewhere.toml"
    (problem,) = home.problems()
    assert problem.file == str(home.project / "elsewhere.toml")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_user_file_that_others_may_write_to_is_refused(home, mode):
    home.user("").user_file.chmod(mode)
    (problem,) = home.problems()
    assert "others may write" in problem.reason


def test_files_that_are_no_settings(home):
    home.user_file.write_bytes(b"a = 1\n\n# \xff\n")
    assert [p.line for p in home.problems()] == [3]
    home.user_file.write_bytes(b"#" * (1 << 20) + b"\n")
    assert "1 MiB" in home.problems()[0].reason
    home.user("a = " + "[" * 5000)
    assert home.problems()
    home.user_file.unlink()
    home.user_file.mkdir()
    assert "not a file" in home.problems()[0].reason


@pytest.mark.parametrize(
    "line",
    [
        'setup = "export AWS_KEY=AKIAIOSFODNN7EXAMPLE"',
        'setup = "git clone https://me:hunter22@git.example/x"',
        'setup = "WANDB_API_KEY=0123456789abcdef0123 python x"',
        'setup = """\n-----BEGIN OPENSSH PRIVATE KEY-----\n"""',
        'env = ["hf_abcdefghijklmnopqrstuvwxyz0123"]',
        'unknown = { token = "ghp_0123456789abcdef0123456789abcdef0123" }',
    ],
)
def test_what_looks_like_a_secret_is_refused_and_not_repeated(home, line):
    problems = [
        p for p in home.directory(f"[run]\n{line}\n").problems() if "looks like" in p.reason
    ]
    assert [p.line for p in problems] == [2]
    assert "hunter22" not in str(problems[0])
    assert "AKIA" not in str(problems[0])


def test_naming_a_variable_is_no_secret(home):
    home.directory('[run]\nsetup = "login --token=$HF_TOKEN"\nenv = ["HF_TOKEN", "AWS_SECRET"]\n')
    assert home.load().settings.run.env == ("HF_TOKEN", "AWS_SECRET")


def test_the_error_tells_all(home):
    with pytest.raises(ConfigError) as caught:
        home.user("[limit]\n[template.x]\n").load()
    assert str(caught.value).count("\n") == 2
    assert f"{home.user_file}:1: limit: no such key (did you mean 'limits'?)" in str(caught.value)
    assert caught.value.exit_code == 2
