"""Jobs and the way to them: a lost line is taken up again, an interruption is told as such."""

from pathlib import Path

import pytest

from gpuctl.app import job as verb
from gpuctl.app.door import access_of, open_door, shell
from gpuctl.app.job import Interrupted, Job
from gpuctl.config.model import Tunnel
from gpuctl.config.template import Template
from gpuctl.core.errors import NotFound, RemoteFailed
from gpuctl.core.events import Ended
from gpuctl.core.model import DiskSpec
from tests.app.conftest import Desk
from tests.changed import changed
from tests.fakes import HERE, FakeJob

LOST = RemoteFailed("the connection was lost")


def follow(desk: Desk, name: str = "train") -> tuple[int, bytes]:
    synced, pieces = desk.sync(), []
    code = verb.follow(desk.app, synced, synced.machines[0], name, pieces.append)
    return code, b"".join(pieces)


def test_a_job_gets_the_tree_and_starts_detached(desk: Desk, tmp_path: Path) -> None:
    desk.up()
    synced = desk.sync()
    job = Job(
        name="train",
        argv=("python", "train.py"),
        directory="work/vision",
        source=tmp_path,
        environ={"WANDB": "x"},
    )
    verb.start(desk.app, synced, synced.machines[0], job)
    assert desk.reach.pushed == [("vision-1", "work/vision")]
    assert desk.reach.started == {"train": (("python", "train.py"), "work/vision", {"WANDB": "x"})}


def test_nothing_is_pushed_where_nothing_is_named(desk: Desk) -> None:
    desk.up()
    synced = desk.sync()
    verb.start(desk.app, synced, synced.machines[0], Job(name="j", argv=("true",), directory="w"))
    assert desk.reach.pushed == []
    assert list(desk.reach.started) == ["j"]


def test_the_log_until_its_end_and_the_exit_code(desk: Desk) -> None:
    desk.up()
    desk.reach.running["train"] = FakeJob([b"epoch 1\n", b"epoch 2\n"], code=3)
    assert follow(desk) == (3, b"epoch 1\nepoch 2\n")


def test_a_lost_connection_is_taken_up_where_it_broke(desk: Desk) -> None:
    desk.up()
    desk.reach.running["train"] = FakeJob([b"one ", LOST, b"two ", LOST, b"three"])
    assert follow(desk) == (0, b"one two three")
    assert desk.reach.offsets == [0, 4, 8]


def test_a_connection_that_stays_away_is_an_error_in_the_end(desk: Desk) -> None:
    desk.up()
    desk.reach.running["train"] = FakeJob([b"one ", *[LOST] * 20])
    with pytest.raises(RemoteFailed, match="connection was lost") as caught:
        follow(desk)
    assert caught.value.exit_code == 125
    assert len(desk.reach.offsets) == 6


def test_a_job_without_an_exit_code_is_a_failure(desk: Desk) -> None:
    desk.up()
    desk.reach.running["train"] = FakeJob([b"one"], code=None)
    with pytest.raises(RemoteFailed, match="left no exit code"):
        follow(desk)


class Ending:
    """The moment a connection breaks, because of what happens to the machine."""

    def __init__(self, desk: Desk, happens: object) -> None:
        self._desk, self._happens = desk, happens

    def __call__(self, machine: object, name: str, offset: int) -> object:
        yield b"epoch 1\n"
        self._happens("i-000001")  # type: ignore[operator]
        self._desk.clock.tick(seconds=5)
        raise LOST


def test_the_cloud_took_the_machine_back(desk: Desk) -> None:
    desk.up()
    desk.reach.follow_job = Ending(desk, desk.aws.interrupt)  # type: ignore[method-assign,assignment]
    with pytest.raises(Interrupted, match="took vision-1 back") as caught:
        follow(desk)
    assert caught.value.exit_code == 7
    assert desk.events(Ended)


def test_the_user_ended_the_machine(desk: Desk) -> None:
    desk.up()
    desk.reach.follow_job = Ending(desk, desk.aws.terminate)  # type: ignore[method-assign,assignment]
    with pytest.raises(RemoteFailed, match=r"vision-1 was ended: Client\.UserInitiatedShutdown"):
        follow(desk)


@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_a_machine_that_nobody_knows_any_more_is_asked_how_it_ended(desk: Desk, how: str) -> None:
    desk.up()

    def vanish(native: str) -> None:
        getattr(desk.aws, how)(native)
        desk.clock.tick(days=1)

    desk.reach.follow_job = Ending(desk, vanish)  # type: ignore[method-assign,assignment]
    with pytest.raises(Interrupted if how == "interrupt" else RemoteFailed):
        follow(desk)


def test_the_only_job_needs_no_name() -> None:
    assert verb.newest(["train"]) == "train"
    with pytest.raises(NotFound, match="a, b"):
        verb.newest(["a", "b"])
    with pytest.raises(NotFound, match="none"):
        verb.newest([])


def test_from_another_address_the_door_is_moved(desk: Desk) -> None:
    desk.up()
    assert desk.aws.inbound == {"i-000001": (HERE,)}
    desk.reach.answering, desk.reach.address = False, "203.0.113.99/32"
    synced = desk.sync()
    open_door(desk.app, synced, synced.machines[0])
    assert desk.aws.inbound == {"i-000001": ("203.0.113.99/32",)}


def test_who_is_let_in_already_changes_nothing(desk: Desk) -> None:
    desk.up()
    synced = desk.sync()
    assert shell(desk.app, synced, synced.machines[0], ["nvidia-smi", "-L"]) == 2
    assert "admit i-000001" not in desk.aws.calls


def test_without_a_lease_the_door_stays_and_the_keys_are_learnt(desk: Desk) -> None:
    desk.up()
    desk.reach.answering = False
    desk.reach.introduced.clear()
    synced = desk.sync()
    open_door(desk.app, synced, changed(synced.machines[0], lease=None))
    assert "admit i-000001" not in desk.aws.calls
    assert list(desk.reach.introduced) == ["vision-1"]


def template(**changes: object) -> Template:
    disk = DiskSpec(gb=1, type="gp3")
    return Template(name="x", provider="aws", type="g5.xlarge", disk=disk, **changes)  # type: ignore[arg-type]


def test_a_tunnel_needs_no_address(desk: Desk) -> None:
    access = access_of(desk.app, template(tunnel=Tunnel.SSM), desk.clock())
    assert (access.tunnel, access.sources) == ("ssm", ())


def test_named_addresses_and_ones_own_each_once(desk: Desk) -> None:
    both = template(ssh_from=("192.0.2.1/32", "my-ip", HERE))
    assert access_of(desk.app, both, desk.clock()).sources == ("192.0.2.1/32", HERE)
    named = template(ssh_from=("192.0.2.1/32",))
    assert access_of(desk.app, named, desk.clock()).sources == ("192.0.2.1/32",)
