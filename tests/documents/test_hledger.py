"""The journal, as hledger itself reads it."""

import json
import shutil
import subprocess
from decimal import Decimal

import pytest
from hypothesis import given, settings

from gpuctl.documents import draw
from gpuctl.documents.formats import plain
from tests.documents.statements import HOSTILE, march, nothing, retained, statements

pytestmark = pytest.mark.skipif(shutil.which("hledger") is None, reason="hledger is not installed")

NAMES = {"client", "project", "period", "basis", "row", "session", "machine", "note"}


def hledger(made, *words):
    done = subprocess.run(
        ["hledger", "-f", "-", *words],
        input=draw(made, "hledger"),
        capture_output=True,
        check=False,
        env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/local/bin"},
    )
    assert done.returncode == 0, done.stderr.decode() + draw(made, "hledger").decode()
    return done.stdout.decode()


def transactions(made):
    return json.loads(hledger(made, "print", "--strict", "-O", "json"))


def amount(posting):
    (found,) = posting["pamount"]
    quantity = found["aquantity"]
    return Decimal(quantity["decimalMantissa"]).scaleb(-quantity["decimalPlaces"])


def claims(found):
    return sum(
        (
            amount(posting)
            for transaction in found
            for posting in transaction["tpostings"]
            if posting["paccount"].startswith("Assets:")
        ),
        Decimal(0),
    )


@pytest.mark.parametrize("make", [march, retained, nothing])
def test_the_strict_check_passes_and_the_claim_is_the_total(make):
    made = make()
    hledger(made, "check", "-s")
    assert claims(transactions(made)) == made.total


def test_balances_by_account():
    text = hledger(march(), "bal", "--no-total", "-O", "csv")
    assert '"Assets:Receivable:Acme","53.71 EUR"' in text
    assert '"Income:Cloud:Acme:Vision","-27.19 EUR"' in text
    assert '"Income:Markup:Acme:Vision","-4.08 EUR"' in text
    assert '"Liabilities:VAT","-9.32 EUR"' in text


def test_tags_tell_project_session_and_client_apart():
    made = march()
    by_project = hledger(made, "bal", "income", "--pivot", "project", "-O", "csv", "--no-total")
    for project in made.projects:
        assert f'"{project.project}","-{project.billable} EUR"' in by_project
    session = hledger(made, "bal", "tag:session=vision-2-101405", "-O", "csv", "--no-total")
    assert '"-1.91 EUR"' in session
    assert '"-44.39 EUR"' in hledger(
        made, "bal", "income", "tag:client=acme", "--depth", "1", "-O", "csv", "--no-total"
    )


def test_what_is_not_closed_is_pending():
    assert (
        hledger(retained(), "print").count("2025-04-01 ! (borealis-2025-03) Borealis Ltd | ") == 2
    )
    assert hledger(march(), "print").count("2025-04-03 * (2025-031) ACME Robotics") == 4


@given(statements())
@settings(max_examples=40, deadline=None)
def test_any_statement_is_booked_to_the_coin(made):
    found = transactions(made)
    assert claims(found) == made.total
    for transaction in found:
        tags = dict(transaction["ttags"])
        assert tags["client"] == made.client
        assert tags.get("project") in (None, *(project.project for project in made.projects))
        assert {posting["pamount"][0]["acommodity"] for posting in transaction["tpostings"]} == {
            made.currency
        }


def test_hostile_names_are_text():
    made = march()
    for name in HOSTILE:
        session = made.projects[0].sessions[0]._replace(machine=name, session=name)
        line = made.projects[0].lines[0]._replace(note=f"x, project:other, {name}")
        project = made.projects[0]._replace(sessions=(session,), title=name, other=Decimal(1))
        project = project._replace(
            cost=session.cost + 1,
            billable=session.cost + 1 + project.markup,
            lines=(line, *project.lines[1:]),
        )
        receiver = made.receiver._replace(name=name)
        hostile = made._replace(projects=(project,), receiver=receiver, invoice=name)
        hledger(hostile, "check", "-s")
        vision, ours = transactions(hostile)
        assert dict(vision["ttags"])["project"] == "acme/vision"
        assert vision["tdescription"].count("|") == 1, "payee and title"
        assert not {"(", ")", ";"} & set(vision["tcode"])
        assert "project" not in dict(ours["ttags"])
        for posting in vision["tpostings"]:
            names = [tag for tag, _ in posting["ptags"]]
            assert set(names) <= NAMES
            assert len(names) == len(set(names)), "no tag comes twice"
        assert len(plain(name)) < 3_000 or "x" * 3_000 in vision["tdescription"]
