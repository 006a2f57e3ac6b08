"""The directives, as beancount itself reads them."""

from decimal import Decimal

import pytest
from hypothesis import given, settings

from gpuctl.documents import draw
from gpuctl.documents.formats import plain
from tests.documents.statements import HOSTILE, march, nothing, retained, statements

loader = pytest.importorskip("beancount.loader", reason="beancount is not installed")
data = pytest.importorskip("beancount.core.data", reason="beancount is not installed")


def load(made):
    text = draw(made, "beancount").decode()
    found, errors, _ = loader.load_string(text)
    assert errors == [], text
    return [entry for entry in found if isinstance(entry, data.Transaction)]


def claims(found):
    return sum(
        (
            posting.units.number
            for transaction in found
            for posting in transaction.postings
            if posting.account.startswith("Assets:")
        ),
        Decimal(0),
    )


@pytest.mark.parametrize("make", [march, retained, nothing])
def test_it_loads_alone_and_the_claim_is_the_total(make):
    made = make()
    assert claims(load(made)) == made.total


def test_a_project_is_a_transaction_with_tag_and_link():
    found = load(march())
    assert [set(one.tags) for one in found] == [
        {"acme-vision"},
        {"acme-nlp"},
        {"acme-a-name-as-long-as-names-can-be"},
        {"acme"},
    ]
    assert {one.links for one in found} == {frozenset({"2025-031"})}
    vision = found[0]
    assert (vision.payee, vision.narration) == (
        "ACME Robotics & Söhne GmbH",
        "Shelf detection, phase 2",
    )
    assert vision.meta["project"] == "acme/vision"
    sessions = {post.meta.get("session"): post.units.number for post in vision.postings}
    assert sessions["vision-2-101405"] == Decimal("-1.91")
    assert claims([vision]) == march().projects[0].billable


def test_what_is_not_closed_is_pending():
    assert {one.flag for one in load(retained())} == {"!"}
    assert {one.flag for one in load(march())} == {"*"}


@given(statements())
@settings(max_examples=60, deadline=None)
def test_any_statement_is_booked_to_the_coin(made):
    found = load(made)
    assert claims(found) == made.total
    for one in found:
        assert one.meta["client"] == made.client
        assert {posting.units.currency for posting in one.postings} == {made.currency}


def test_hostile_names_are_text():
    made = march()
    for name in HOSTILE:
        session = made.projects[0].sessions[0]._replace(machine=name, session=name)
        project = made.projects[0]._replace(
            sessions=(session, *made.projects[0].sessions[1:]), title=name
        )
        receiver = made.receiver._replace(name=name)
        found = load(made._replace(projects=(project,), receiver=receiver, invoice=name))
        first = found[0]
        assert first.tags == {"acme-vision"}
        assert (first.payee or "") == plain(name)
        assert first.postings[0].meta.get("session", "") == plain(name)
