"""The page: well-formed, complete, adding up, safe whatever the names are, and it can be read."""

import re
from collections import Counter
from decimal import Decimal
from functools import cache
from html.parser import HTMLParser
from typing import NamedTuple

import pytest
from hypothesis import given, settings

from gpuctl import documents
from gpuctl.core.rounding import minor_units
from gpuctl.core.statement import Statement
from gpuctl.documents import page
from gpuctl.documents.formats import amount, duration, money, plain
from tests.documents import statements
from tests.documents.statements import march, nothing, retained

VOID = {"meta", "br", "wbr"}
INLINE = {"a", "bdi", "code", "wbr"}
EDGES = [march, retained, nothing]


class Node(NamedTuple):
    tag: str
    attributes: dict[str, str]
    children: list

    def all(self, tag: str) -> "list[Node]":
        found = []
        for child in self.children:
            if isinstance(child, Node):
                found += [child] if child.tag == tag else []
                found += child.all(tag)
        return found

    def one(self, tag: str) -> "Node":
        (found,) = self.all(tag)
        return found

    @property
    def text(self) -> str:
        return " ".join(self.raw.split())

    @property
    def raw(self) -> str:
        inside = "".join(one.raw if isinstance(one, Node) else one for one in self.children)
        return inside if self.tag in INLINE else f" {inside} "

    @property
    def first(self) -> str:
        """A cell's first line."""
        return self._replace(
            children=[
                one for one in self.children if not isinstance(one, Node) or one.tag != "small"
            ]
        ).text


class Reader(HTMLParser):
    """As strict as XML: every element is closed, in order, and nothing stands where it must not."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("", {}, [])]

    def handle_starttag(self, tag, attrs) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs}, [])
        assert len(node.attributes) == len(attrs), f"an attribute twice: {attrs}"
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs) -> None:
        self.open[-1].children.append(Node(tag, dict(attrs), []))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data) -> None:
        self.open[-1].children.append(data)


def read(drawn: bytes) -> Node:
    reader = Reader()
    reader.feed(drawn.decode())
    reader.close()
    assert len(reader.open) == 1
    return reader.open[0]


@cache
def drawn(make) -> Node:
    return read(page.draw(make()))


def nodes(root: Node) -> list[Node]:
    found = [child for child in root.children if isinstance(child, Node)]
    return found + [one for child in found for one in nodes(child)]


def table(root: Node, name: str) -> Node:
    (found,) = [one for one in root.all("div") if one.attributes.get("id") == name]
    return found.one("table")


def number(text: str) -> Decimal:
    """An amount, or a duration in seconds."""
    if ":" in text:
        hours, minutes, seconds = (int(part) for part in text.replace(",", "").split(":"))
        return Decimal(hours * 3600 + minutes * 60 + seconds)
    return Decimal(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def column(found: Node, label: str) -> list[Decimal]:
    """Its figures in the body, from the first lines of the cells."""
    labels = [one.first for one in found.one("thead").all("th")]
    cells = [row.all("th") + row.all("td") for row in found.one("tbody").all("tr")]
    return [number(row[labels.index(label)].first) for row in cells]


def foot(found: Node, label: str) -> dict[str, Decimal]:
    """A row at the foot, by the words that its figures are labelled with."""
    (row,) = [one for one in found.one("tfoot").all("tr") if one.one("th").text == label]
    cells = [cell for cell in row.all("td") if cell.first and cell.first != "\N{EN DASH}"]
    return {cell.attributes["data-label"].split(",")[0]: number(cell.first) for cell in cells}


@pytest.mark.parametrize("make", EDGES)
def test_it_is_one_whole_document(make) -> None:
    root = drawn(make)
    ids = Counter(one.attributes["id"] for one in nodes(root) if "id" in one.attributes)
    assert ids.most_common(1)[0][1] == 1
    named = [
        name
        for one in nodes(root)
        for kind in ("aria-labelledby", "aria-describedby")
        for name in one.attributes.get(kind, "").split()
    ]
    links = [one.attributes["href"] for one in root.all("a")]
    assert all(link.startswith("#") for link in links)
    assert {*named, *(link[1:] for link in links)} <= set(ids)
    patterns = re.findall(r"url\(#([^)]+)\)", page.draw(make()).decode())
    assert set(patterns) <= set(ids)


@pytest.mark.parametrize("make", EDGES)
def test_nothing_is_loaded_and_nothing_is_run(make) -> None:
    root, text = drawn(make), page.draw(make()).decode()
    loads = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use"}
    assert not loads & {one.tag for one in nodes(root)}
    attributes = {name for one in nodes(root) for name in one.attributes}
    assert not [name for name in attributes if name.startswith("on") or name == "src"]
    assert "://" not in text
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    (policy,) = [one for one in root.all("meta") if "http-equiv" in one.attributes]
    assert policy.attributes["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )


@pytest.mark.parametrize("make", EDGES)
def test_readers_that_see_nothing_find_their_way(make) -> None:
    root = drawn(make)
    assert root.one("html").attributes["lang"] == "en"
    assert root.one("h1").text == "Statement of cloud costs"
    assert len(root.all("main") + root.all("header") + root.all("footer")) == 3
    for one in root.all("section"):
        assert one.attributes["aria-labelledby"] == one.one("h2").attributes["id"]
    for one in root.all("table"):
        assert one.one("caption").text
        assert all(cell.attributes["scope"] == "col" for cell in one.one("thead").all("th"))
        for row in one.one("tbody").all("tr") + one.one("tfoot").all("tr"):
            assert row.one("th").attributes["scope"] == "row"
    for one in root.all("svg"):
        if one.attributes.get("aria-hidden") != "true":
            assert one.attributes["role"] == "img"
            assert one.children[0].tag == "title"
            assert one.children[0].text
            assert one.one("desc").text


def test_every_amount_is_there() -> None:
    given, text = march(), f" {drawn(march).one('body').text} "
    for project in given.projects:
        whole = [project.cost, project.markup, project.billable, project.saved]
        parts = [line.cost for line in project.lines]
        parts += [part for one in project.sessions for part in (one.cost, one.compute)]
        parts += [one.on_demand for one in project.sessions if one.on_demand is not None]
        for value in [*whole, *parts]:
            assert f" {amount(value, 'EUR')}" in text, value
        assert f"USD {project.cost_usd}" in text
        for one in project.sessions:
            assert duration(one.seconds) in text
            assert plain(one.machine) in text
            assert str(one.low) in text
            assert str(one.high) in text
        assert all(f"{key}: {value}" in text for key, value in project.tags.items())
    for value in (given.total, given.net, given.vat):
        assert f"EUR {value}" in text
    for words in ("VAT 21 %", "1 EUR = 1.0842 USD", "ECB", "31 March 2025", "0.9223390518"):
        assert words in text
    for words in ("2025-031", "3 April 2025", "NL123456789B01", "Straße des 17. Juni 135"):
        assert words in text
    assert given.ledger_head in text
    assert all(note in text for note in given.notes)


def test_the_sum_comes_first() -> None:
    body = drawn(march).one("main").text
    assert body.startswith("Total with VAT EUR 53.71 EUR 44.39 and 21 % VAT, EUR 9.32")
    assert drawn(march).one("head").one("title").text == (
        "Statement of cloud costs, ACME Robotics & Söhne GmbH, March 2025"
    )


def test_what_is_printed_adds_up() -> None:
    given = march()
    root = drawn(march)
    sums = table(root, "sums")
    projects = foot(sums, "All projects")
    for label in ("Machine time", "Cost", "Not charged", "Markup", "Charged"):
        assert sum(column(sums, label)) == projects[label]
    assert projects["Cost"] + projects["Not charged"] + projects["Markup"] == projects["Charged"]
    assert foot(sums, "Net")["Charged"] == projects["Charged"] == given.net
    vat = foot(sums, "VAT 21 %")["Charged"]
    assert foot(sums, "Total")["Charged"] == given.net + vat == given.total
    for i, project in enumerate(given.projects, 1):
        lines, sessions = table(root, f"project-{i}-lines"), table(root, f"project-{i}-sessions")
        assert sum(column(lines, "Cost")) == foot(lines, "Cost")["Cost"] == project.cost
        count = len(project.sessions)
        part = foot(sessions, f"{count} sessions")
        for label in ("Time", "Compute", "Saved", "Cost"):
            assert sum(column(sessions, label)) == part[label]
        assert part["Saved"] == project.saved
        other = foot(sessions, "In no session")["Cost"] if project.other else 0
        assert part["Cost"] + other == foot(sessions, "Cost")["Cost"] == project.cost
        assert sum(column(table(root, "by-day"), project.title or project.project)) == project.cost


def test_fee_and_rounding_lead_to_the_total() -> None:
    given = retained()
    sums = table(drawn(retained), "sums")
    steps = [*column(sums, "Charged")]
    steps += [foot(sums, label)["Charged"] for label in ("Monthly fee", "Rounding")]
    assert sum(steps) == foot(sums, "Total")["Charged"] == given.total
    text = drawn(retained).one("main").text
    assert "cloud cost of up to USD 1.00" in text
    assert "VAT is not part of this statement" in text
    assert "not closed yet" in text


def test_a_month_without_work_says_so() -> None:
    text = drawn(nothing).one("main").text
    assert "Nothing ran for this client in the period." in text
    assert "USD 0.00" in text
    assert drawn(nothing).all("svg") == []


def test_how_a_session_ended_is_said_in_words() -> None:
    rows = table(drawn(march), "project-1-sessions").one("tbody").all("tr")
    ends = [row.all("td")[1].text for row in rows]
    assert ends == [
        "spot settled",
        "spot interrupted in its first hour, free, estimated",
        "spot interrupted, estimated",
        "spot settled",
        "spot estimated",
        "spot still running, estimated",
        "on-demand estimated",
    ]
    assert rows[5].all("td")[2].text == "30 Mar 22:30 goes on"


def test_what_a_bill_asked_beside_the_estimate_is_named() -> None:
    (work,) = retained().projects
    line = work.lines[-1]._replace(kind="settle", sku="disk", unit=None, rate=None)
    given = retained()._replace(projects=(work._replace(lines=(*work.lines[:-1], line)),))
    rows = table(read(page.draw(given)), "project-1-lines").one("tbody").all("tr")
    assert rows[-1].one("th").text == "Difference to the bill Disk"


def test_no_client_pays_for_what_ran_on_its_own_account() -> None:
    text = read(page.draw(retained()._replace(own_account=Decimal("12.34")))).one("main").text
    assert "On your own cloud account USD 12.34 more was spent." in text


def test_a_span_of_days_is_named_by_both() -> None:
    text = read(page.draw(march()._replace(month=None))).one("header").text
    assert "1 March 2025 \N{EN DASH} 1 April 2025" in text
    bare = nothing()._replace(month=None, spans=())
    assert "until 1 April 2025, 06:00 UTC" in read(page.draw(bare)).one("header").text


def test_the_same_statement_gives_the_same_bytes() -> None:
    assert page.draw(march()) == page.draw(march()) == documents.draw(march(), "html")


KNOWN = {one.tag for make in EDGES for one in nodes(drawn(make))}


@settings(max_examples=25)
@given(statements.statements())
def test_no_name_becomes_markup(given: Statement) -> None:
    text = page.draw(given).decode()
    root = read(text.encode())
    assert {one.tag for one in nodes(root)} <= KNOWN | {"bdi", "wbr"}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    shown = root.one("body").text
    for name in (given.receiver.name, *given.notes):
        assert plain(name) in shown
    assert money(given.total, given.currency).replace("\xa0", " ") in shown
    sums = table(root, "sums")
    if given.projects:
        charged = sum(column(sums, "Charged")) + given.fee + given.rounding
        assert charged == given.net
        assert sum(column(sums, "Cost")) == sum(project.cost for project in given.projects)
    assert foot(sums, "Total") == {"Charged": given.total}
    places = minor_units(given.currency)
    for i, project in enumerate(given.projects, 1):
        lines = table(root, f"project-{i}-lines")
        assert sum(column(lines, "Cost")) == foot(lines, "Cost")["Cost"] == project.cost
        assert all(-value.as_tuple().exponent == places for value in column(lines, "Cost"))
