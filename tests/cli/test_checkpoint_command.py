"""`checkpoint` where there is nothing of that name, or nowhere to put it."""

from typing import Any

import pytest

from .clouds import Account, Clouds

SETTINGS = """
    [client.acme.project.vision]

    [template.saved]
    provider = "aws"
    type = "g6.xlarge"
    image = "ami-0123456789abcdef0"
    instance_profile = "keeper"

    [template.saved.checkpoint]
    dir = "checkpoints"
    bucket = "s3://kept/x"
    """


class Empty:
    """A bucket with nothing in it."""

    def entries(self, prefix: str) -> tuple[()]:
        return ()


class Bucketed(Clouds):
    def bucket(self, address: str, payer: str | None) -> Empty:
        return Empty()


@pytest.fixture
def saved(desk: Any) -> Any:
    desk.user(SETTINGS)
    desk.clouds = Bucketed(Account())
    return desk


@pytest.mark.parametrize("command", ["ls", "verify", "pull"])
def test_a_job_that_nobody_saved(saved: Any, command: str) -> None:
    """A check of nothing passed: a mistyped name read as safe."""
    said = saved.refused("checkpoint", command, "trian", "-t", "saved", code=3)
    assert "there are no checkpoints of trian" in said


def test_an_empty_bucket_is_no_mistake(saved: Any) -> None:
    assert saved.json("checkpoint", "ls", "-t", "saved")["checkpoints"] == []
    assert saved.json("checkpoint", "verify", "-t", "saved")["ok"] is True
