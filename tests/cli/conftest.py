"""A desk: the real command line in a directory of its own, with its own home and ledger."""

import pytest

from tests.cli.desk import Desk


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.close()
