"""`down` on a ledger that cannot be written, or not even be read: what costs is ended."""

import pytest

from gpuctl.app.down import chosen, down
from gpuctl.app.stubborn import StubbornLedger
from gpuctl.app.sync import sync
from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Leased, Usage
from gpuctl.core.model import Down
from gpuctl.core.span import Month, Span
from tests.app.conftest import Desk


class Broken:
    """A ledger on a bad disk; `reads` = it can still be read."""

    def __init__(self, ledger, *, reads):
        self._ledger, self._reads = ledger, reads

    def __getattr__(self, name):
        if self._reads:
            return getattr(self._ledger, name)
        raise LedgerError("the ledger cannot be read")

    def append(self, events):
        raise LedgerError("the ledger cannot be written")


@pytest.mark.parametrize("reads", [True, False])
def test_a_bad_disk_keeps_no_machine_alive(desk: Desk, reads: bool) -> None:
    desk.up()
    desk.clock.tick(hours=1)
    ledger = StubbornLedger(Broken(desk.app.ledger, reads=reads))
    app = desk.app._replace(ledger=ledger)
    synced = sync(app)
    (ended,) = down(app, synced, chosen(synced, [], None, everything=False, how=Down.END), Down.END)
    assert desk.aws.running() == []
    assert ended.receipt.charges
    assert ledger.error is not None
    # With the disk well again, the next command learns of it from the cloud.
    assert len(desk.books.open) > 0
    desk.sync()
    assert desk.books.open == ()


def test_what_is_known_with_other_content_is_an_error_all_the_same(desk: Desk) -> None:
    desk.up()
    ledger = StubbornLedger(desk.app.ledger)
    lease = desk.events(Leased)[0]
    assert ledger.append([lease]) == 0
    with pytest.raises(LedgerError):
        ledger.append([lease._replace(name="another")])
    assert ledger.error is None


def test_what_is_kept_in_mind_is_read_back_once(desk: Desk) -> None:
    desk.up()
    ledger = StubbornLedger(Broken(desk.app.ledger, reads=True))
    usage = desk.events(Usage)[0]._replace(id="u/kept")
    assert [ledger.append([usage]), ledger.append([usage])] == [1, 0]
    assert [event.id for event in ledger.events()].count("u/kept") == 1
    span = Span(desk.clock(), desk.clock())
    assert usage in ledger.events_about(span)
    assert ledger.touched(Month(2025, 3), "x") == desk.app.ledger.touched(Month(2025, 3), "x")
    assert ledger.location == desk.app.ledger.location
    assert ledger.install == desk.app.ledger.install


def test_an_install_that_cannot_be_read_is_nobodys(desk: Desk) -> None:
    ledger = StubbornLedger(Broken(desk.app.ledger, reads=False))
    assert ledger.install == "0" * 32
    assert ledger.error is not None
