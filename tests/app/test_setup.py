"""A template's `setup`: once on a new machine, and a failure leaves the machine to look at."""

import pytest

from gpuctl.core.errors import GpuctlError
from gpuctl.core.kinds import State
from tests.app.conftest import Desk
from tests.changed import changed


def with_setup(desk: Desk, template: str) -> Desk:
    templates = dict(desk.app.settings.templates)
    templates[template] = changed(templates[template], setup="touch /tmp/here")
    settings = changed(desk.app.settings, templates=templates)
    return changed(desk, app=changed(desk.app, settings=settings))


def test_it_runs_once_on_a_new_machine(desk: Desk) -> None:
    desk = with_setup(desk, "v100")
    name = desk.machine().name
    desk.up()
    assert desk.reach.ran == [(name, ("sh", "-c", "touch /tmp/here"))]


def test_nothing_is_run_where_none_is_set(desk: Desk) -> None:
    desk.up()
    assert desk.reach.ran == []


def test_a_vm_that_is_started_again_is_not_set_up_again(desk: Desk) -> None:
    desk = with_setup(desk, "t4")
    desk.up(template="t4", name="box")
    desk.down("box")
    desk.up(template="t4", name="box")
    assert len(desk.reach.ran) == 1


def test_its_failure_is_told_and_the_machine_stays(desk: Desk) -> None:
    desk = with_setup(desk, "v100")
    desk.reach.run_code = 3
    with pytest.raises(GpuctlError, match="ended with 3") as failed:
        desk.up()
    assert failed.value.message.endswith("the last line")
    assert [machine.state for machine in desk.sync().machines] == [State.RUNNING]
