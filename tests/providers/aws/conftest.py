"""The emulated AWS for the provider's tests."""

from collections.abc import Iterator

import pytest

from tests.providers.aws.rig import Rig, fresh, serving


@pytest.fixture(scope="module")
def aws() -> Iterator[Rig]:
    with serving() as rig:
        yield rig


@pytest.fixture
def rig(aws: Rig) -> Rig:
    return fresh(aws)
