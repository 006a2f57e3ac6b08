"""`up`: which offer is taken, what is written first, what is said when nothing can be had."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gpuctl.app.up import NothingStarted, apply_flags
from gpuctl.core.errors import Denied, GpuctlError, ListingIncomplete, UsageProblem
from gpuctl.core.events import Armed, Intent, Leased, Usage
from gpuctl.core.kinds import Market, MarketPolicy, State
from tests.app.conftest import ACME, BOREALIS, MACHINE_HOUR, TEMPLATES, Desk, MakeDesk
from tests.changed import changed


def test_the_first_offer_is_the_cheapest_zone_of_the_first_type(desk: Desk) -> None:
    done = desk.up()
    assert desk.starts() == ["p3.2xlarge us-east-1a spot"]
    shown = done.machine
    assert shown is not None
    assert (shown.machine.state, shown.machine.name) == (State.RUNNING, "vision-1")
    assert shown.project == ACME
    assert [(a.outcome, a.type, a.zone) for a in done.attempts] == [
        ("started", "p3.2xlarge", "us-east-1a")
    ]


def test_a_new_machine_is_shown_with_its_price(desk: Desk) -> None:
    shown = desk.up().machine
    assert shown is not None
    assert shown.hourly == MACHINE_HOUR


def test_everything_is_in_the_ledger_before_the_cloud_is_asked(desk: Desk) -> None:
    desk.aws.crash_after_launch = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        desk.up()
    (lease,), (intent,) = desk.events(Leased), desk.events(Intent)
    assert (intent.lease, intent.verb, intent.order["project"]) == (lease.id, "start", ACME)
    assert desk.books.unsettled == (intent,)


def test_a_machine_is_introduced_to_ssh_and_known_to_be_armed(desk: Desk) -> None:
    machine = desk.machine()
    assert desk.reach.introduced == {"vision-1": ("ssh-ed25519 i-000001",)}
    assert [event.deadline for event in desk.events(Armed)] == [machine.deadline]


def test_a_type_that_nobody_sells_falls_back_and_says_why(desk: Desk) -> None:
    desk.aws.not_sold["p3.2xlarge"] = "AWS no longer offers p3"
    done = desk.up()
    assert desk.starts() == ["g5.xlarge us-west-2a spot"]
    skipped, started = done.attempts
    assert (skipped.type, skipped.outcome, skipped.reason) == (
        "p3.2xlarge",
        "skipped",
        "AWS no longer offers p3",
    )
    assert (started.type, started.outcome) == ("g5.xlarge", "started")


def test_other_zones_then_other_types_then_other_regions(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", None), ("g5.xlarge", "us-east-1a", None)}
    done = desk.up()
    assert desk.starts() == [
        "p3.2xlarge us-east-1a spot",
        "p3.2xlarge us-east-1b spot",
        "g5.xlarge us-east-1a spot",
        "p3.2xlarge us-west-2a spot",
        "g5.xlarge us-west-2a spot",
    ]
    assert [a.outcome for a in done.attempts] == ["refused"] * 4 + ["started"]
    assert desk.outcomes == [("failed", "Insufficient")] * 4 + [("done", None)]


def test_zones_that_the_cloud_names_come_first(desk: Desk) -> None:
    desk.aws.spot["p3.2xlarge", "us-east-1c"] = "2.00"
    desk.aws.sold_out = {("p3.2xlarge", "us-east-1a", None)}
    desk.aws.hints = ("us-east-1c",)
    assert desk.machine().id.zone == "us-east-1c"


def test_on_demand_is_tried_after_all_spot_where_the_template_says_so(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", Market.SPOT)}
    assert desk.machine(template="dear").market is Market.ON_DEMAND
    assert [start.split()[2] for start in desk.starts()] == ["spot"] * 3 + ["on-demand"]


def test_when_all_is_sold_out_nothing_was_started(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", None), ("g5.xlarge", "*", None)}
    with pytest.raises(NothingStarted, match="nothing is billed") as caught:
        desk.up()
    assert caught.value.exit_code == 5
    assert len(caught.value.attempts) == 5
    assert "--wait" in (caught.value.hint or "")
    assert desk.books.unsettled == ()
    assert desk.outcomes == [("failed", "Insufficient")] * 5
    assert (desk.aws.vms, desk.events(Usage)) == ([], [])


def test_when_nothing_is_offered_no_lease_is_made(desk: Desk) -> None:
    desk.aws.not_sold = {"p3.2xlarge": "retired", "g5.xlarge": "not here"}
    with pytest.raises(NothingStarted, match="retired") as caught:
        desk.up()
    assert [a.outcome for a in caught.value.attempts] == ["skipped", "skipped"]
    assert desk.events(Leased) == []


def test_a_quota_is_named_and_holds_for_the_whole_type_there(desk: Desk) -> None:
    desk.aws.quotas["p3.2xlarge"] = "L-7212CCBC"
    done = desk.up()
    assert desk.starts()[:2] == ["p3.2xlarge us-east-1a spot", "g5.xlarge us-east-1a spot"]
    assert [a.code for a in done.attempts] == ["L-7212CCBC", None]


def test_no_permission_to_launch_stops_at_once(desk: Desk) -> None:
    desk.aws.launch_error = Denied("ec2:RunInstances is not allowed")
    with pytest.raises(Denied):
        desk.up()
    assert len(desk.starts()) == 1
    assert desk.outcomes == [("failed", "Denied")]


def test_no_credentials_no_attempt(desk: Desk) -> None:
    desk.aws.denied = True
    with pytest.raises(Denied):
        desk.up()
    assert desk.events(Intent) == []


def test_the_machine_that_runs_is_the_answer(desk: Desk) -> None:
    first = desk.machine()
    desk.clock.tick(hours=1)
    again = desk.up()
    assert again.existed
    assert again.machine is not None
    assert again.machine.machine.id == first.id
    assert len(desk.aws.vms) == 1


def test_another_template_of_the_same_project_is_another_machine(desk: Desk) -> None:
    desk.up()
    assert desk.machine(template="dear").name == "vision-2"


def test_a_name_that_runs_for_somebody_else_is_refused(desk: Desk) -> None:
    desk.up(name="box")
    with pytest.raises(UsageProblem, match="running for acme/vision") as caught:
        desk.up(BOREALIS, name="box")
    assert caught.value.hint == "gpuctl switch box borealis/nlp, or give another name"


def test_a_running_machine_is_found_in_the_cloud_where_it_runs(desk: Desk) -> None:
    desk.up(template="t4", name="box")
    done = desk.up(template="v100", name="box")
    assert done.existed
    assert done.machine is not None
    assert done.machine.machine.id.provider == "gcp"


def test_names_count_on_and_fit_the_grammar(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.up()
    desk.down()
    assert desk.machine().name == "vision-2"
    assert desk.machine("acme/3d").name == "acme-3d-1"
    assert desk.machine("9to5/3d").name == "m-3d-1"


def test_waiting_for_capacity_tries_again_until_there_is_some(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", None), ("g5.xlarge", "*", None)}
    tries = []

    def sleep(seconds: float) -> None:
        tries.append(seconds)
        desk.clock.tick(seconds=seconds)
        if len(tries) == 3:
            desk.aws.sold_out = set()

    desk = changed(desk, app=changed(desk.app, sleep=sleep))
    assert desk.machine(wait=timedelta(hours=2), detach=True).type == "p3.2xlarge"
    assert tries == [30.0] * 3


def test_waiting_ends_when_it_was_said_to(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", None), ("g5.xlarge", "*", None)}
    start = desk.clock()
    with pytest.raises(NothingStarted):
        desk.up(wait=timedelta(minutes=10))
    assert desk.clock() - start == timedelta(minutes=10)


def test_who_waits_is_asked_once(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", None), ("g5.xlarge", "*", None)}
    asked = []
    with pytest.raises(NothingStarted):
        desk.up(wait=timedelta(minutes=5), confirm=lambda plan: not asked.append(plan))
    assert len(asked) == 1


def test_who_waits_is_asked_again_when_it_became_dearer(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", None), ("g5.xlarge", "*", None)}
    soon = desk.clock() + timedelta(minutes=2)
    for kind, zone in desk.aws.spot:
        desk.aws.changes[kind, zone] = [(soon, "3.00")]
    answers = [True, False]
    done = desk.up(wait=timedelta(minutes=5), confirm=lambda plan: answers.pop(0))
    assert (done.machine, answers) == (None, [])


def test_detached_returns_as_soon_as_it_is_accepted(desk: Desk) -> None:
    machine = desk.machine(detach=True)
    assert machine.state is State.STARTING
    assert desk.clock.slept == []
    assert {usage.kind for usage in desk.books.open} == {"compute", "disk", "ipv4"}


@pytest.mark.parametrize("how", [{"dry_run": True}, {"confirm": lambda plan: False}])
def test_a_plan_alone_costs_nothing(desk: Desk, how: dict[str, object]) -> None:
    done = desk.up(**how)
    assert done.machine is None
    assert done.plan is not None
    assert done.plan.hourly == MACHINE_HOUR
    assert (desk.starts(), desk.events(Leased)) == ([], [])


def test_nothing_is_started_where_nobody_can_see_what_runs(desk: Desk) -> None:
    desk.up()
    desk.aws.broken_region = "us-west-2"
    with pytest.raises(ListingIncomplete, match="us-west-2"):
        desk.up()
    assert len(desk.aws.vms) == 1


def test_a_cloud_that_is_silent_elsewhere_stops_nobody(desk: Desk) -> None:
    desk.gcp.broken_region = "us-central1"
    assert desk.machine().state is State.RUNNING


def test_flags_replace_what_the_template_says(desk: Desk) -> None:
    template = desk.app.settings.template("v100")
    assert apply_flags(template) == template
    changed = apply_flags(
        template,
        max_price=Decimal("0.5"),
        ttl=timedelta(hours=2),
        idle_stop=timedelta(minutes=5),
        budget=Decimal(3),
        region="us-west-2",
        zone="us-west-2a",
    )
    assert (changed.max_price, changed.ttl, changed.budget) == (
        Decimal("0.5"),
        timedelta(hours=2),
        Decimal(3),
    )
    assert (changed.regions, changed.zones) == (("us-west-2",), ("us-west-2a",))
    assert changed.market is MarketPolicy.SPOT


def test_an_error_nobody_planned_for_is_the_clouds_refusal(desk: Desk) -> None:
    desk.aws.launch_error = GpuctlError("InternalError")
    with pytest.raises(GpuctlError, match="InternalError"):
        desk.up()
    assert desk.outcomes == [("failed", "GpuctlError")]


def test_a_template_may_name_the_vm_itself(make_desk: MakeDesk) -> None:
    recipe = changed(TEMPLATES[2], name="box", vm="my-box")
    desk = make_desk(templates={"box": recipe})
    assert desk.machine(template="box").name == "my-box"
    desk.down()
    assert desk.machine(template="box").id.native == "my-box"
    assert len(desk.gcp.vms) == 1


def test_a_stopped_machine_of_the_same_name_elsewhere_is_another(make_desk: MakeDesk) -> None:
    desk = make_desk(own=True)
    desk.up(template="t4", name="box")
    desk.down("box")
    plan = desk.up(BOREALIS, template="v100", name="box", dry_run=True).plan
    assert plan is not None
    assert plan.adopted is None
