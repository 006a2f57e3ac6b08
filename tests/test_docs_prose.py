"""What the pages say is true: links, commands, tables, examples and figures."""

import json
import re
import shlex
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from docs import generate
from gpuctl.app.job import Interrupted
from gpuctl.cli import main
from gpuctl.cli.command import INTERRUPTED
from gpuctl.cli.money_shapes import cur_amount, cur_cost
from gpuctl.core import errors, interchange, rules
from gpuctl.core.bill import bill
from gpuctl.core.images.ports import KeepsImages, MakesImages
from gpuctl.core.interchange import PUBLIC_TYPES, read_line, type_of, write_line
from gpuctl.core.kinds import Kind
from gpuctl.core.ports import Provider
from gpuctl.core.report import Terms, report
from tests.core import docledger

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "architecture",
            "billing",
            "images",
            "ledger",
            "operations",
            "providers",
            "security",
        )
    ),
)


@cache
def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def fences(page, language):
    """The fenced blocks of a language, indentation taken off."""
    pattern = rf"^( *)```{language}\n(.*?)^\1```$"
    found = re.findall(pattern, text(page), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def prose(page):
    """The page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", text(page), flags=re.MULTILINE | re.DOTALL)


def table(page, heading):
    """The rows of the first table under a heading, as lists of cells."""
    section = text(page).partition(f"\n{heading}\n")[2]
    assert section, f"{page} has no {heading!r}"
    rows = re.search(r"^\|.*?\n(?!\|)", section, re.MULTILINE | re.DOTALL).group()
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in rows.strip().splitlines()[2:]
    ]


def code(cell):
    return re.findall(r"`([^`]+)`", cell)


# --- links and names ------------------------------------------------------------------------


def anchors(page):
    shown = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", shown, re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def links(page):
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page):
    written = generate.pages(ROOT)
    lost = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        there = target in written or target.exists()
        if not there or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page):
    named = re.findall(r"`((?:gpuctl|tests|docs)/[\w./-]+)`", prose(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_read_from_the_readme():
    assert set(PAGES) - {"README.md"} <= set(links("README.md"))


def test_names_of_the_environment_are_those_that_the_code_reads():
    rows = table("docs/operations.md", "## Environment")
    assert {name for row in rows for name in code(row[0])} == {
        "GPUCTL_HOME", "GPUCTL_CONFIG", "GPUCTL_LEDGER", "GPUCTL_PROJECT", "GPUCTL_TEMPLATE",
        "GPUCTL_OUTPUT", "GPUCTL_YES", "GPUCTL_DEBUG", "GPUCTL_GCP_ENDPOINT",
        "GOOGLE_CLOUD_PROJECT", "AWS_*", "NO_COLOR", "FORCE_COLOR", "CI",
    }  # fmt: skip
    source = "".join(path.read_text() for path in (ROOT / "gpuctl").rglob("*.py"))
    for page in PAGES:
        for name in set(re.findall(r"\bGPUCTL_[A-Z_]+", text(page))):
            assert f'"{name}"' in source, f"{page}: nothing reads {name}"


# --- commands -------------------------------------------------------------------------------


def command_lines():
    """(page, words, whole) of each command: in consoles in full, in the prose as far as it goes."""
    for page in PAGES:
        shown = re.sub(f"{generate.BEGIN}.*?{generate.END}", "", text(page), flags=re.DOTALL)
        for line in re.findall(r"^ *(?:\$ )?(gpuctl(?: .*)?)$", shown, re.MULTILINE):
            yield page, shlex.split(line, comments=True)[1:], True
        for line in re.findall(r"`gpuctl ([^`]+)`", prose(page)):
            yield page, shlex.split(line, comments=True), False


def parse(words, *, whole):
    """Walk the real commands; click.UsageError where one would refuse."""
    command, context = main, click.Context(main, info_name="gpuctl")
    while isinstance(command, click.Group):
        _, words, _ = command.make_parser(context).parse_args(args=list(words))
        if not words:
            return
        _, child, words = command.resolve_command(context, words)
        command, context = child, click.Context(child, info_name=child.name, parent=context)
    try:
        command.make_context(command.name, list(words), parent=context.parent)
    except click.exceptions.Exit:  # --help
        return
    except click.MissingParameter:
        if whole:
            raise


def test_every_command_line_is_one_that_gpuctl_takes():
    wrong, seen = [], 0
    for page, words, whole in command_lines():
        seen += 1
        try:
            parse(words, whole=whole)
        except click.UsageError as error:
            wrong.append(f"{page}: gpuctl {shlex.join(words)}: {error.message}")
    assert wrong == []
    assert seen > 40


def test_the_check_of_command_lines_finds_what_is_wrong():
    for line in ("upp", "up --spott", "ledger export --nope", "split i-1 acme/vision=1"):
        with pytest.raises(click.UsageError):
            parse(line.split(), whole=True)


def test_what_is_said_to_be_missing_is_missing():
    """A command that is here now must be taken out of README's table."""
    context = click.Context(main, info_name="gpuctl")
    rows = [row for row in table("README.md", "## Limits, honestly") if row[0]]
    names = [name.split() for row in rows for name in code(row[0])]
    assert names
    for first, *rest in names:
        command = main.get_command(context, first)
        if rest and isinstance(command, click.Group):
            command = command.get_command(context, rest[0])
        assert command is None, f"README says that gpuctl {first} {' '.join(rest)} is missing"


# --- tables ---------------------------------------------------------------------------------


def test_exit_codes_are_those_of_the_errors():
    told = {int(row[0]): set(code(row[2])) for row in table("docs/operations.md", "## Exit codes")}
    raised = {0: set(), INTERRUPTED: set(), Interrupted.exit_code: {"Interrupted"}}
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.GpuctlError):
            raised.setdefault(value.exit_code, set()).add(name)
    assert told == raised


def test_promises_are_those_of_the_protocol():
    methods = {name for name in vars(Provider) if not name.startswith("_")}
    assert [code(row[0])[0] for row in table("docs/providers.md", "## The promises")] == [
        name for name in vars(Provider) if name in methods
    ]


def test_promises_about_images_are_those_of_the_protocols():
    told = [code(row[0])[0] for row in table("docs/providers.md", "## Promises about images")]
    methods = [*vars(KeepsImages), *vars(MakesImages)]
    assert told == [name for name in methods if not name.startswith("_")]


def test_the_table_of_billing_rules_is_the_one_in_the_code():
    told = {}
    for provider, kind, unit, minimum, spot, _ in table("docs/billing.md", "## The table"):
        seconds = 0 if minimum == "none" else int(minimum.removesuffix(" s"))
        told[code(provider)[0], Kind(code(kind)[0])] = (code(unit)[0], seconds, spot)
    coded = {}
    for (provider, kind), rule in rules._RULES.items():
        spot = rule.spot.value if kind in rules.MARKET_KINDS else "-"
        coded[provider, kind] = (rule.unit.value, rule.minimum_s, spot)
    assert told == coded


def test_each_billing_rule_names_the_vendors_pages_and_so_does_its_row():
    for provider, kind, *_, source in table("docs/billing.md", "## The table"):
        rule = rules.rule_for(code(provider)[0], Kind(code(kind)[0]))
        assert rule.source
        for title in rule.source.split("; "):
            assert title in source, (provider, kind)


def test_kinds_and_their_units_are_those_of_the_code():
    rows = table("docs/ledger.md", "## Interchange format")
    assert {code(row[0])[0]: code(row[3])[0] for row in rows} == {
        kind.value: rules.rule_for("", kind).unit.value for kind in Kind
    }


def test_the_records_of_the_ledger_are_all_told():
    rows = table("docs/ledger.md", "## What is in it")
    assert [name for row in rows for name in code(row[0])] == list(interchange._ALL)


# --- rights ---------------------------------------------------------------------------------


def test_the_rights_in_the_pages_are_those_of_the_code():
    written = generate.pages(ROOT)
    for name in ("docs/aws-policy.json", "docs/aws-setup-policy.json", "docs/gcp-role.yaml"):
        assert (ROOT / name).read_text(encoding="utf-8") == written[ROOT / name]


def test_the_policy_fits_into_a_managed_one_and_not_into_an_inline_one():
    policy = json.loads((ROOT / "docs/aws-policy.json").read_text())
    assert 2048 < len(json.dumps(policy, separators=(",", ":"))) <= 6144


# --- figures --------------------------------------------------------------------------------


@pytest.mark.parametrize("example", fences("docs/billing.md", "ledger"))
def test_an_example_of_the_billing_rules_costs_what_the_page_says(example):
    events, owed = docledger.read(example)
    assert owed
    assert docledger.paid(bill(events, docledger.EVER, docledger.NOW).charges) == owed


def test_the_row_of_a_real_bill_in_the_page_on_billing():
    line = """
    01-01 00:00      price aws/us-east-1 compute g5.4xlarge on-demand 1.624
    03-10 14:00      open i-1 aws/us-east-1 compute g5.4xlarge on-demand x1 acme/vision
    03-10 14:17:46   close i-1 user
    """
    events, _ = docledger.read(line)
    [charge] = bill(events, docledger.EVER, docledger.NOW).charges
    told = re.search(
        r"([\d,]+) s of a g5.4xlarge at ([\d.]+) is ([\d.]+) h and\s+([\d.]+) USD",
        text("docs/billing.md"),
    )
    assert (str(charge.seconds), str(charge.rate)) == (told[1].replace(",", ""), told[2])
    assert (cur_amount(charge), cur_cost(charge)) == (Decimal(told[3]), Decimal(told[4]))


def ledgers():
    return fences("docs/ledger.md", "jsonl")


def test_the_examples_of_the_format_are_one_of_each_type_and_come_back_as_they_were():
    lines = ledgers()[0].splitlines()
    assert sorted(type_of(read_line(line)) for line in lines) == sorted(PUBLIC_TYPES)
    for line in lines:
        assert json.loads(write_line(read_line(line))) == json.loads(line)


def steps(console):
    """(command, what it prints) of a console."""
    for step in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        line, _, printed = step.partition("\n")
        yield shlex.split(line)[1:], printed


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_bill_prints_what_the_page_shows(number, tmp_path, monkeypatch):
    home = {"GPUCTL_HOME": str(tmp_path / "home")}
    for name in ("GPUCTL_CONFIG", "GPUCTL_LEDGER", "GPUCTL_PROJECT", "GPUCTL_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GPUCTL_SANDBOX", raising=False)
    monkeypatch.chdir(tmp_path)
    if number == 1:
        settings = tmp_path / "home/config/config.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(fences("docs/ledger.md", "toml")[0])
        settings.chmod(0o600)
    (tmp_path / f"bill-{number}.jsonl").write_text(ledgers()[number])
    console = fences("docs/ledger.md", "console")[number - 1]
    shown = list(steps(console))
    assert shown[0][0] == ["ledger", "import", f"bill-{number}.jsonl"]
    for words, printed in shown:
        done = CliRunner().invoke(main, words, env=home)
        assert done.exit_code == 0, done.output
        assert [line.rstrip() for line in done.stdout.splitlines()] == printed.splitlines()


def test_the_printed_totals_are_those_of_the_core():
    """Beside the command line: import, bill and report by the core's own functions."""
    for number, total in ((1, "2.10"), (2, "26.55"), (3, "2.88")):
        events = [read_line(line) for line in ledgers()[number].splitlines()]
        charges = bill(events, docledger.EVER, datetime(2026, 3, 2, tzinfo=UTC)).charges
        made = report(charges, lambda _: Terms())
        assert made.total == Decimal(total)
        parts = sum(account.cost for account in made.accounts)
        assert parts + made.unattributed + made.idle == made.total


# --- style ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_no_emoji_and_no_marketing(page):
    assert not re.search(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]", text(page))
    loud = r"\b(?:powerful|blazing|seamless|effortless|revolution|cutting.edge|awesome|simply)\w*"
    assert re.findall(loud, text(page), re.IGNORECASE) == []
