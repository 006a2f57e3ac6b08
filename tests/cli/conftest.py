"""A desk: the real command line in a directory of its own, with its own home and ledger."""

import logging

import pytest

from tests.cli.desk import Desk


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.close()
    # The command line takes gpuctl's records for itself; other tests look at them, too.
    log = logging.getLogger("gpuctl")
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    log.propagate = True
    log.setLevel(logging.NOTSET)
