"""A shell that names a sandbox and is not in it: what enters it works, nothing else does."""

import pytest


@pytest.mark.parametrize("word", ["env", "status", "stop"])
def test_what_enters_a_sandbox_is_not_refused_for_not_being_in_it(desk, word):
    result = desk("sandbox", word, GPUCTL_SANDBOX=str(desk.root / "named"))
    assert "GPUCTL_SANDBOX is set" not in result.output


@pytest.mark.parametrize("argv", [("ps",), ("sandbox", "advance", "1h"), ("config", "path")])
def test_everything_else_is_refused_and_the_hint_can_be_typed(desk, argv):
    said = desk.refused(*argv, GPUCTL_SANDBOX=str(desk.root / "named"))
    assert "GPUCTL_SANDBOX is set, but" in said
    assert 'eval "$(gpuctl sandbox env)"' in said
