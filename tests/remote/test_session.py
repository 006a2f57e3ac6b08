"""Jobs that outlive the connection."""

import shutil
import time

import pytest

from gpuctl.core.errors import GpuctlError, NotFound
from gpuctl.remote import session
from gpuctl.remote.session import JobState, Phase


@pytest.fixture(params=["tmux", "without tmux"])
def target(request, place):
    if request.param == "tmux":
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not installed")
    else:
        hidden = place.machine.home / "tools"
        hidden.mkdir()
        words = "sh cat mkdir mktemp rm mv tail head wc sleep basename setsid nohup env kill printf"
        for name in words.split():
            found = shutil.which(name)
            if found:
                (hidden / name).symlink_to(found)
        place.machine.environ["PATH"] = str(hidden)
    return place.target


def wait(target, name, seconds=15):
    for _ in range(seconds * 10):
        state = session.state(target, name)
        if state.phase in (Phase.ENDED, Phase.LOST):
            return state
        time.sleep(0.1)
    raise AssertionError("the job does not end")


@pytest.mark.parametrize("code", [0, 3])
def test_log_and_exit_code(target, code):
    session.start(target, "job-1", ["sh", "-c", f"echo out; echo err >&2; exit {code}"])
    assert b"".join(session.follow(target, "job-1")) == b"out\nerr\n"
    assert session.state(target, "job-1") == JobState(Phase.ENDED, code)
    assert session.names(target) == ("job-1",)


def test_following_goes_on_where_it_was(target):
    session.start(target, "j", ["sh", "-c", "printf 0123456789; sleep 1; printf abc"])
    assert b"".join(session.follow(target, "j", offset=4)) == b"456789abc"
    assert b"".join(session.follow(target, "j", offset=12)) == b"c"


def test_the_log_comes_as_it_grows(target):
    session.start(target, "j", ["sh", "-c", "echo first; sleep 60"])
    log = session.follow(target, "j")
    assert next(log) == b"first\n"
    assert session.state(target, "j").phase is Phase.RUNNING
    log.close()
    session.signal(target, "j")
    assert wait(target, "j") == JobState(Phase.ENDED, 143)


def test_a_signal_reaches_the_job_and_not_its_shell(target):
    script = "trap 'echo saved; exit 7' USR1; echo ready; while :; do sleep 0.1; done"
    session.start(target, "j", ["sh", "-c", script])
    log = session.follow(target, "j")
    assert next(log) == b"ready\n"
    session.signal(target, "j", "USR1")
    assert b"saved\n" in b"".join(log)
    assert wait(target, "j").code == 7


def test_arguments_directory_and_environment(target, place):
    (place.machine.home / "my code").mkdir()
    secret = "s3cr3t'\"$HOME`\n x"
    script = 'pwd; printf "%s|%s|%s" "$TOKEN" "$GPUCTL_JOB" "$1"'
    session.start(
        target,
        "j",
        ["sh", "-c", script, "x", "a 'b' $c"],
        directory="my code",
        environ={"TOKEN": secret},
    )
    out = b"".join(session.follow(target, "j")).decode()
    assert out == f"{place.machine.home}/my code\n{secret}|j|a 'b' $c"
    kept = [path.read_text() for path in place.machine.home.glob(".gpuctl/jobs/j/*")]
    assert sum("s3cr3t" in text for text in kept) == 1  # its own output, in the log
    assert not list(place.machine.home.glob("gpuctl-job.*"))


def test_a_directory_that_is_not_there_is_a_failure_that_says_why(target):
    """It ended with 1 and an empty log, as if the command itself had failed."""
    session.start(target, "j", ["true"], directory="none")
    assert wait(target, "j").code == 125
    said = b"".join(session.follow(target, "j"))
    assert said == b"gpuctl: there is no directory none on this machine yet: leave out --no-push\n"


def test_a_name_is_used_once(target):
    session.start(target, "j", ["true"])
    with pytest.raises(GpuctlError, match="already"):
        session.start(target, "j", ["true"])


def test_a_job_that_was_killed_outright_is_lost(target):
    session.start(target, "j", ["sleep", "60"])
    for _ in range(50):
        if session.state(target, "j").phase is Phase.RUNNING:
            break
        time.sleep(0.1)
    session.signal(target, "j", "KILL")
    assert wait(target, "j") == JobState(Phase.LOST)
    assert b"".join(session.follow(target, "j")) == b""


def test_no_such_job(target):
    for ask in (session.state, session.signal, lambda *a: list(session.follow(*a))):
        with pytest.raises(NotFound):
            ask(target, "none")
    assert session.names(target) == ()


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "$(id)", "-a", "a" * 64])
def test_names_have_a_grammar(place, name):
    with pytest.raises(ValueError, match="job name"):
        session.start(place.target, name, ["true"])


@pytest.mark.parametrize("environ", [{"A B": "x"}, {"A;id": "x"}, {"1A": "x"}, {"A": "\0"}])
def test_variables_have_a_grammar(place, environ):
    with pytest.raises(ValueError, match="environment variable"):
        session.start(place.target, "j", ["true"], environ=environ)
