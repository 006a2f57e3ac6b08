"""`client` and `project`: whom the money is for, and how they are billed."""

import tomllib

import pytest

from gpuctl.core.events import Ended
from gpuctl.core.kinds import EndedBy, State
from tests.cli.desk import NOW


def written(desk):
    return tomllib.loads(desk.config.read_text())


def test_a_client_with_all_its_terms(desk):
    desk.ok(
        "client", "add", "acme", "--name", "ACME Robotics", "--currency", "EUR", "--markup", "15%",
        "--cap", "500", "--vat", "DE1", "--contact", "billing@acme.example",
    )  # fmt: skip

    shown = desk.json("client", "show", "acme")["client"]
    assert (shown["title"], shown["currency"], shown["markup"]) == ("ACME Robotics", "EUR", "15%")
    assert (shown["cap"], shown["vat"], shown["projects"]) == ("500", "DE1", [])
    assert "at cost + 15%" in desk.ok("client", "list")


def test_a_client_whose_machines_run_in_its_own_account_is_not_billed(desk):
    desk.ok("client", "add", "borealis", "--aws-profile", "borealis")

    assert "not: its own account" in desk.ok("client", "show", "borealis")


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("add", "Acme Inc"), 2, "is not a client's short name"),
        (("add", "a/b"), 2, "gpuctl project add a/b"),
        (("add", "b", "--markup", "15"), 2, "--markup: '15' is not a percentage"),
        (("add", "b", "--currency", "euro"), 2, "--currency EUR"),
        (("add", "b", "--aws-role", "admin"), 2, "--aws-role"),
        (("add", "acme"), 2, "gpuctl client set acme"),
        (("show", "amce"), 3, "did you mean acme?"),
        (("set", "amce", "markup", "1%"), 3, "did you mean acme?"),
        (("set", "acme", "markp", "1%"), 2, "client.acme.markup"),
    ],
)
def test_wrong_words_about_clients(desk, argv, code, says):
    desk.user("[client.acme]\n")

    assert says in desk.refused("client", *argv, code=code)
    assert written(desk) == {"client": {"acme": {}}}


def test_a_project_brings_its_client_along_and_says_so(desk):
    result = desk("project", "add", "acme/vision", "-t", "l4-spot", "--budget", "120", "--hard")

    assert result.exit_code == 0
    assert "acme is a new client" in result.stderr
    assert "acme is a new client" not in desk("project", "add", "acme/nlp").stderr
    shown = desk.json("project", "show", "acme/vision")["project"]
    assert shown["budget"]["month"] == "120"
    assert shown["budget"]["hard"] is True
    assert (shown["template"], shown["absorbed"], shown["archived"]) == ("l4-spot", False, False)


def test_a_project_bears_its_own_terms(desk):
    desk.user('[client.acme]\nmarkup = "15%"\n')
    desk.ok("project", "add", "acme/vision")
    desk.ok("project", "add", "acme/nlp", "--markup", "20%", "--since", "2026-03-01")
    desk.ok("project", "add", "acme/own", "--absorbed")

    found = {each["name"]: each for each in desk.json("project", "list")["projects"]}
    assert [found[f"acme/{name}"]["markup"] for name in ("vision", "nlp")] == ["15%", "20%"]
    assert found["acme/own"]["absorbed"]
    assert found["acme/nlp"]["since"] == "2026-03-01"


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("add", "vision"), 2, "it is client/project"),
        (("add", "acme/x", "-t", "l4spot"), 3, "did you mean l4-spot?"),
        (("add", "acme/x", "--budget", "$120"), 2, "--budget 120"),
        (("add", "acme/x", "--since", "today"), 2, "--since: 'today' is not a date such as"),
        (("add", "acme/x", "--since", "2026-13-01"), 2, "'2026-13-01' is not a date such as"),
        (("add", "acme/x", "--hard"), 2, "--budget 120.00 --hard"),
        (("add", "acme/vision"), 2, "gpuctl project set acme/vision"),
        (("show", "acme/visoin"), 3, "did you mean acme/vision?"),
        (("show",), 2, "-p CLIENT/PROJECT"),
        (("use", "acme/visoin"), 3, "did you mean acme/vision?"),
        (("archive", "acme/visoin"), 3, "did you mean acme/vision?"),
        (("set", "acme/vision", "template", "l4spot"), 3, "did you mean l4-spot?"),
        (("set", "acme/vision", "budget.mont", "1"), 2, "budget.month"),
        (("list", "--client", "amce"), 3, "did you mean acme?"),
    ],
)
def test_wrong_words_about_projects(desk, argv, code, says):
    desk.user("[client.acme.project.vision]\n")

    assert says in desk.refused("project", *argv, code=code)
    assert written(desk) == {"client": {"acme": {"project": {"vision": {}}}}}
    assert not desk.project_file.exists()


def test_use_names_the_project_of_this_directory(desk):
    desk.user("[client.acme.project.vision]\n[client.acme.project.nlp]\n")
    desk.project_file.write_text('# kept\nproject = "acme/nlp"\n')

    desk.ok("project", "use", "acme/vision")

    assert desk.project_file.read_text() == '# kept\nproject = "acme/vision"\n'
    assert "project   acme/vision" in desk.ok("project", "show")
    marked = [line for line in desk.ok("project", "list").splitlines() if line.startswith("*")]
    assert [line.split()[1] for line in marked] == ["acme/vision"]


def test_set_changes_one_value(desk):
    desk.user('[client.acme.project.vision]\nbudget = { month = "10" } # po 7\n')

    desk.ok("project", "set", "acme/vision", "budget.month", "150.00")

    assert desk.config.read_text().count("# po 7") == 1
    assert "$150.00 a month" in desk.ok("project", "show", "acme/vision")


def test_an_archived_project_is_hidden_and_can_come_back(desk):
    desk.user("[client.acme.project.vision]\n")
    desk.ok("project", "archive", "acme/vision")

    assert desk.json("project", "list")["projects"] == []
    assert "archived" in desk.ok("project", "list", "--all")
    assert "--undo" in desk.refused("project", "use", "acme/vision")

    desk.ok("project", "archive", "acme/vision", "--undo")
    assert desk.json("project", "list")["projects"] != []


def test_a_project_with_a_running_machine_is_not_archived(desk):
    desk.user("[client.acme.project.vision]\n")
    desk.machine("vision-1", "acme/vision", NOW)

    said = desk.refused("project", "archive", "acme/vision")

    assert "vision-1" in said
    assert "gpuctl down -p acme/vision --all" in said


def test_a_project_whose_machine_costs_nothing_any_more_is_archived(desk):
    desk.user("[client.acme.project.vision]\n")
    desk.machine("vision-1", "acme/vision", NOW, state=State.STOPPED)
    ended = Ended(id="e", usage="run-i-0abc", end=NOW, ended_by=EndedBy.USER)
    desk.ledger.append([ended])

    assert desk("project", "archive", "acme/vision").exit_code == 0


def test_without_any_the_lists_say_what_to_type(desk):
    assert "gpuctl project add" in desk.ok("project", "list")
    assert "gpuctl client add" in desk.ok("client", "list")
    assert not desk.config.exists()
    assert not desk.ledger_path.exists()
