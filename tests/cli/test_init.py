"""`init`: two small files from flags or answers; what is there already is kept."""

import stat
import tomllib

import pytest

from gpuctl.cli import surroundings
from gpuctl.core.errors import Denied
from gpuctl.core.kinds import Market, State
from gpuctl.core.model import Machine, MachineId
from tests.cli.clouds import Account, Clouds

ACME = ("--client", "ACME Robotics", "--project", "vision")


def test_flags_alone_are_enough_off_a_terminal(desk):
    result = desk(
        "init", *ACME, "--currency", "EUR", "--markup", "15%", "--budget", "120", "-t", "l4-spot"
    )

    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    client = tomllib.loads(desk.config.read_text())["client"]["acme-robotics"]
    assert (client["name"], client["currency"], client["markup"]) == ("ACME Robotics", "EUR", "15%")
    assert client["project"]["vision"] == {"template": "l4-spot", "budget": {"month": "120"}}
    assert desk.project_file.read_text() == 'project = "acme-robotics/vision"\n'
    assert stat.S_IMODE(desk.config.stat().st_mode) == 0o600
    assert desk("config", "validate").exit_code == 0


def test_on_a_terminal_each_question_is_asked_once(desk):
    result = desk("init", terminal=True, answers="acme\nvision\nEUR\n15%\n\n")

    assert result.exit_code == 0, result.output
    assert desk.json("client", "show", "acme")["client"]["currency"] == "EUR"
    assert desk.json("project", "show", "acme/vision")["project"]["budget"] is None


def test_a_flag_is_an_answer(desk):
    result = desk("init", *ACME, "--markup", "15%", terminal=True, answers="USD\n40\n")

    assert result.exit_code == 0, result.output
    assert "Markup" not in result.stderr
    shown = desk.json("project", "show", "acme-robotics/vision")["project"]
    assert (shown["markup"], shown["budget"]["month"]) == ("15%", "40")


def test_without_a_client_only_the_settings_are_written(desk):
    assert desk("init", "-y").exit_code == 0
    assert desk.config.exists()
    assert not desk.project_file.exists()


def test_again_changes_nothing(desk):
    desk.ok("init", *ACME, "--markup", "15%")
    before = desk.config.read_text()

    result = desk("init", *ACME, "--markup", "99%")

    assert result.exit_code == 0
    assert "stays as it is" in result.stderr
    assert desk.config.read_text() == before


def test_a_file_named_by_config_is_made_there(desk):
    file = desk.root / "other.toml"

    assert desk("--config", str(file), "init", *ACME).exit_code == 0
    assert "acme-robotics" in file.read_text()


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ((), 2, "There is no terminal to ask on"),
        (("--project", "vision", "-y"), 2, "--client"),
        (("--client", "acme"), 2, "There is no terminal to ask on"),
        ((*ACME, "--markup", "15"), 2, "--markup: '15' is not a percentage"),
        ((*ACME, "--budget", "lots"), 2, "--budget"),
        ((*ACME, "-t", "l4-spt"), 3, "did you mean l4-spot?"),
        (("--client", "acme", "-p", "borealis/nlp"), 2, "is not a project of acme"),
        (("--client", "…", "-p", "x"), 2, "no letter"),
        (("--markup", "15%", "-y"), 2, "for whom?"),
    ],
)
def test_a_mistake_leaves_no_file_behind(desk, argv, code, says):
    assert says in desk.refused("init", *argv, code=code)
    assert not desk.config.exists()
    assert not desk.project_file.exists()


def test_another_project_is_put_here_only_when_asked(desk):
    desk.ok("init", "-p", "acme/vision")
    before = desk.project_file.read_text()

    assert "with --yes" in desk.refused("init", "-p", "acme/nlp")
    assert "nothing was changed" in desk.refused(
        "init", "-p", "acme/nlp", "--currency", "USD", "--markup", "0%", "--budget", "1",
        terminal=True, answers="n\n", code=1,
    )  # fmt: skip
    assert desk.project_file.read_text() == before

    desk.ok("init", "-p", "acme/nlp", "-y")
    assert desk.project_file.read_text() == 'project = "acme/nlp"\n'


def test_it_says_which_accounts_it_found_and_reads_no_key(desk):
    aws = desk.home / ".aws"
    aws.mkdir()
    (aws / "config").write_text("[default]\nregion = us-east-2\n[profile acme]\nregion=eu-west-1\n")
    (aws / "credentials").write_text("[default]\naws_secret_access_key = VERYSECRET\n[old]\n")
    gcloud = desk.home / ".config/gcloud/configurations"
    gcloud.mkdir(parents=True)
    (gcloud / "config_default").write_text("[core]\naccount = me@x\nproject = freelance-ml\n")

    said = desk("init", "-y").stderr

    assert "AWS     profile default, region us-east-2 (also acme, old)" in said
    assert "no application default credentials, project freelance-ml" in said
    assert "VERYSECRET" not in said


def test_the_environment_names_accounts_too(desk):
    named = {"AWS_PROFILE": "none-such", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AK"}

    found = surroundings.aws(desk.environ | named, desk.home)

    assert (found.profile, found.region, found.keys, found.found) == (None, "eu-west-1", True, True)
    assert surroundings.gcp({"GOOGLE_CLOUD_PROJECT": "p"}, desk.home).project == "p"
    assert not surroundings.aws({}, desk.home).found
    assert not surroundings.gcp({}, desk.home).found


def test_gcloud_has_an_active_configuration(desk):
    gcloud = desk.home / "gcloud"
    (gcloud / "configurations").mkdir(parents=True)
    (gcloud / "active_config").write_text("work\n")
    (gcloud / "configurations/config_work").write_text("[core]\nproject = w\n")
    (gcloud / "application_default_credentials.json").write_text("{}")

    found = surroundings.gcp({"CLOUDSDK_CONFIG": str(gcloud)}, desk.home)

    assert (found.project, found.credentials) == ("w", True)


def machine(state):
    return Machine(
        id=MachineId("aws", "111122223333", "us-east-2", "us-east-2a", "i-0abc"),
        name="vision-1",
        type="g6.xlarge",
        gpu="L4",
        gpus=1,
        market=Market.SPOT,
        state=state,
        launched_at=None,
    )


def test_undo_refuses_while_a_machine_costs_money(desk):
    desk.clouds = Clouds(Account([machine(State.RUNNING)], made=["sg-1"]))

    said = desk.refused("init", "--undo", "-y", code=1)

    assert "vision-1" in said
    assert "gpuctl down --all" in said
    assert len(desk.clouds.only.made) == 1


@pytest.mark.parametrize("environ", [{}, {"GPUCTL_YES": "1"}])
def test_undo_asks_before_it_destroys_and_the_environment_is_no_answer(desk, environ):
    desk.clouds = Clouds(Account(made=["sg-1"]))

    assert "There is no terminal" in desk.refused("init", "--undo", **environ)
    assert desk("init", "--undo", terminal=True, answers="n\n", **environ).exit_code == 1
    assert len(desk.clouds.only.made) == 1


def test_undo_removes_what_was_made_and_names_what_remains(desk):
    desk.user("[client.acme]\n")
    desk.clouds = Clouds(Account([machine(State.STOPPED)], made=["sg-1", "sg-2"]))

    result = desk("init", "--undo", terminal=True, answers="y\n")

    assert result.exit_code == 0, result.output
    assert desk.clouds.only.made == []
    assert "sg-1" in result.stdout
    assert "gpuctl down vision-1 --delete" in result.stderr
    assert f"your settings stay: {desk.config}" in result.stderr
    assert desk.config.exists()


def test_undo_goes_on_past_what_cannot_be_removed(desk):
    desk.clouds = Clouds(Account(made=["sg-1", "sg-2"], stuck=["sg-1"]))

    said = desk.refused("init", "--undo", "-y", code=1)

    assert "sg-1 is still there: sg-1 is in use" in said
    assert [thing.resource for thing in desk.clouds.only.made] == ["sg-1"]


def test_undo_where_nothing_was_made(desk):
    desk.clouds = Clouds(Account())

    assert "nothing of gpuctl's" in desk.ok("init", "--undo")


class Preparing(Account):
    """An account in which the reaper's role can be made, or not."""

    error = None

    def prepare(self):
        if self.error is not None:
            raise self.error
        if self.made:
            return ()
        self.made.append(self.thing("gpuctl-reaper"))
        return ("role gpuctl-reaper",)


KEYS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_REGION": "us-east-2"}
ANSWERS = "acme\nvision\nEUR\n15%\n\n"


@pytest.mark.parametrize(("answer", "made"), [("\n", 1), ("y\n", 1), ("n\n", 0)])
def test_on_a_terminal_the_reaper_is_offered(desk, answer, made):
    desk.clouds = Clouds(Preparing())
    result = desk("init", terminal=True, answers=ANSWERS + answer, **KEYS)
    assert result.exit_code == 0, result.output
    assert "one IAM role" in result.stderr
    assert len(desk.clouds.only.made) == made


def test_without_aws_nothing_is_offered(desk):
    desk.clouds = Clouds(Preparing())
    assert "IAM" not in desk("init", terminal=True, answers=ANSWERS).stderr


def test_with_no_question_it_is_made_only_when_it_is_named(desk):
    desk.clouds = Clouds(Preparing())
    assert "gpuctl init --reaper" in desk("init", *ACME, **KEYS).stderr
    assert "reaper" not in desk("init", *ACME, "--no-reaper", **KEYS).stderr
    assert desk.clouds.only.made == []

    assert "aws: made role gpuctl-reaper" in desk("init", "--reaper", **KEYS).stderr
    assert "nothing was missing" in desk("init", "--reaper", **KEYS).stderr
    assert len(desk.clouds.only.made) == 1


def test_the_files_are_written_though_the_role_could_not_be_made(desk):
    desk.clouds = Clouds(Preparing())
    desk.clouds.only.error = Denied("not allowed: iam:CreateRole")

    result = desk("init", terminal=True, answers=ANSWERS + "y\n", **KEYS)
    assert result.exit_code == 0, result.output
    assert "docs/aws-setup-policy.json" in result.stderr
    assert desk.config.exists()

    said = desk.refused("init", "--reaper", code=1, **KEYS)
    assert "not allowed: iam:CreateRole" in said


def test_a_reaper_for_no_account(desk):
    desk.clouds = Clouds(Preparing())
    desk.clouds.accounts = list
    assert "no cloud account" in desk.refused("init", "--reaper")
