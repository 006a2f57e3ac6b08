"""Whose a cost is: switches, splits, corrections, ends that are known and ends that are guessed."""

from datetime import timedelta

from gpuctl.core.bill import bill, runs
from gpuctl.core.charges import as_aws_prints
from gpuctl.core.events import Ended, Usage
from gpuctl.core.kinds import EndedBy, Evidence
from tests.core.docledger import EVER, NOW, ledger

HOUR = timedelta(hours=1)


@ledger
def test_a_switch_acts_on_what_runs_and_no_later_run():
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 11:00      switch i-1 borealis/nlp
    03-10 11:30      switch i-1 nobody
    03-10 12:00      close i-1 user
    03-10 13:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 14:00      close i-1 user
    03-10 12:30      switch i-1 borealis/nlp
    03-10 14:00      switch i-1 borealis/nlp
    03-10 11:00      switch i-2 borealis/nlp
    = acme/vision 2
    = borealis/nlp 0.5
    = nobody 0.5
    """


@ledger
def test_a_switch_at_the_start_takes_the_whole_run():
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 10:00      open i-1 aws compute g5 on-demand x1 nobody
    03-10 10:00      switch i-1 acme/vision
    03-10 11:00      close i-1 user
    = acme/vision 1
    """


@ledger
def test_a_switch_does_not_move_the_hours_of_spot():
    """
    03-10 10:00      price aws compute g5 spot 1
    03-10 10:30      price aws compute g5 spot 3
    03-10 10:00      open i-1 aws compute g5 spot x1 acme/vision
    03-10 10:45      switch i-1 borealis/nlp
    03-10 12:00      close i-1 user
    = acme/vision 0.75
    = borealis/nlp 3.25
    """


@ledger
def test_a_split_overrides_switches_while_it_lasts():
    """
    01-01 00:00      price aws compute g5 on-demand 4
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 11:00      switch i-1 acme/audio
    03-10 10:30      split i-1 03-10 11:30 acme/vision=1 borealis/nlp=3
    03-10 12:00      close i-1 user
    = acme/vision 3
    = borealis/nlp 3
    = acme/audio 2
    """


@ledger
def test_the_idle_part_is_absorbed_or_shared(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 4
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 10:00      split i-1 03-10 11:00 acme/vision=2 borealis/nlp=1 idle=1 absorbed
    03-10 11:00      split i-1 03-10 12:00 acme/vision=2 borealis/nlp=1 idle=1
    03-10 12:00      close i-1 user
    = acme/vision 4.6666666667
    = borealis/nlp 2.3333333333
    = idle 1
    """
    (idle,) = [charge for charge in charges if charge.absorbed]
    assert (idle.project, idle.cost) == (None, 1)


@ledger
def test_adjustments_are_lines_of_no_length(events, charges):
    """
    03-10 15:00      adjust acme/vision -1.20
    03-10 15:00      adjust nobody 0.70
    = acme/vision -1.2
    = nobody 0.7
    """
    assert {(charge.kind, charge.seconds, charge.unit) for charge in charges} == {
        ("adjust", 0, None)
    }
    assert list(as_aws_prints(charges)) == list(charges)


@ledger
def test_what_runs_on_a_clients_own_account_is_in_no_total(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 11:00      close i-1 user
    = acme/vision 1
    """
    theirs = [
        Usage(**{n: getattr(e, n) for n in e._fields} | {"payer": "acme"})
        if isinstance(e, Usage)
        else e
        for e in events
    ]
    found = bill(theirs, EVER, NOW)
    assert (found.total, [charge.cost for charge in found.charges]) == (0, [1])


@ledger
def test_of_several_ends_the_best_evidence_holds_and_a_doubt_is_said(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    = acme/vision 8567
    """
    (run,) = [event for event in events if isinstance(event, Usage)]

    def end(hours, evidence):
        name = f"{hours}/{evidence}"
        return Ended(
            id=name, usage=run.id, end=run.start + hours * HOUR, ended_by=EndedBy.USER,
            evidence=evidence,
        )  # fmt: skip

    doubt, sure, later = (
        end(2, Evidence.DEADLINE),
        end(3, Evidence.AUDIT_LOG),
        end(4, Evidence.AUDIT_LOG),
    )
    found = bill([*events, doubt], EVER, NOW)
    assert found.total == 2
    assert found.problems == (
        "the end of i-1 (compute) at 2025-03-10T12:00:00Z is uncertain: known only by its deadline",
    )
    for order in ([doubt, sure, later], [later, sure, doubt], [sure, later, doubt]):
        best = bill([*order, *events], EVER, NOW)
        assert (best.total, best.problems) == (3, ())
    assert bill([*events, end(-1, None), sure], EVER, NOW).charges[0].seconds == 60
    assert [usage.end for usage in runs([*events, end(-1, None)])] == [run.start]


@ledger
def test_a_share_of_nothing_pays_nothing(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 4
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 10:00      split i-1 03-10 11:00 acme/vision=0 borealis/nlp=1
    03-10 11:00      close i-1 user
    = borealis/nlp 4
    """
    assert len(charges) == 1
