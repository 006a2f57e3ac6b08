"""Commands over real SSH."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gpuctl.core.errors import GpuctlError, NotFound, RemoteFailed
from gpuctl.remote import hosts, session, ssh
from gpuctl.remote.sockets import control_directory
from gpuctl.remote.steps import Workbench
from gpuctl.remote.target import Target


def test_output_errors_and_code(place):
    result = ssh.run(place.target, ["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=30)
    assert (result.code, result.out, result.err) == (3, b"out\n", b"err\n")


def test_arguments_arrive_as_they_were(place):
    words = ["a b", "$HOME", "`id`", "'", '"', "\\", "*", "", "-n", "ü\n2", ";reboot", "~"]
    result = ssh.run(place.target, ["printf", "%s\\0", *words], timeout=30)
    assert result.out.decode().split("\0")[:-1] == words


def test_standard_input_is_what_was_given_or_empty(place):
    assert ssh.run(place.target, ["cat"], stdin=b"\0\xff x", timeout=30).out == b"\0\xff x"
    assert ssh.run(place.target, ["cat"], timeout=30).out == b""


def test_much_output(place):
    result = ssh.run(place.target, ["head", "-c", "3000000", "/dev/zero"], timeout=60)
    assert len(result.out) == 3_000_000


def test_a_stream_comes_as_it_is_said_and_its_code_is_told(place):
    known = {44: NotFound("no such log")}
    assert b"".join(ssh.stream(place.target, ["printf", "a b"], known)) == b"a b"
    with pytest.raises(NotFound, match="no such log"):
        list(ssh.stream(place.target, ["sh", "-c", "exit 44"], known))
    with pytest.raises(RemoteFailed, match="said why"):
        list(ssh.stream(place.target, ["sh", "-c", "echo said why >&2; exit 3"], known))


def test_a_computer_without_ssh_is_told_so(place, monkeypatch):
    monkeypatch.setenv("PATH", str(place.machine.home / "nothing"))
    with pytest.raises(RemoteFailed, match="no ssh on this computer"):
        list(session.follow(place.target, "job"))
    with pytest.raises(RemoteFailed, match="no ssh on this computer"):
        Workbench(place.target, "0123456789ab").follow("steps/10-a.sh", 0, bytes)


def test_nothing_to_run_is_a_mistake(place):
    with pytest.raises(ValueError, match="no command"):
        ssh.run(place.target, [])


def test_time_runs_out(place):
    began = time.monotonic()
    with pytest.raises(RemoteFailed, match="did not answer"):
        ssh.run(place.target, ["sleep", "30"], timeout=0.5)
    assert time.monotonic() - began < 5


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_machine_that_is_not_there(place):
    gone = replace(place.target, port=closed_port())
    assert not ssh.answers(gone)
    with pytest.raises(RemoteFailed, match="Connection refused") as caught:
        ssh.run(gone, ["true"], timeout=30)
    assert caught.value.exit_code == 125


def test_a_machine_that_answers(place):
    assert ssh.answers(place.target, timeout=20)


def test_a_stranger_at_a_known_address_is_told_apart(place):
    ours = place.pinned(place.machine.public)
    assert ssh.answers(ours, timeout=20)
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBwJJx1XGJD0mEJTm2Kl7vXR9v0vVNq3iOQy5YZB6v2o"
    theirs = place.pinned(other)
    with pytest.raises(ssh.OtherHostKey):
        ssh.answers(theirs, timeout=20)


def test_a_pinned_machine_without_a_known_key_is_refused(place):
    with pytest.raises(ssh.OtherHostKey):
        ssh.answers(replace(place.target, pinned=True), timeout=20)


def test_the_first_key_is_kept_under_the_cloud_id(place):
    assert ssh.answers(place.target, timeout=20)
    assert hosts.pinned(place.target.known_hosts, "i-0abc")
    assert place.target.known_hosts.read_text().split() == ["i-0abc", *place.machine.public.split()]


def test_another_login_is_refused(place):
    assert not ssh.answers(replace(place.target, user="root"), timeout=20)


@pytest.mark.parametrize("code", [0, 1, 77])
def test_interactive_passes_the_code_on(place, code):
    assert ssh.interactive(place.target, ["sh", "-c", f"exit {code}"]) == code


def test_interactive_without_a_command_is_a_shell(place, capfd):
    assert ssh.interactive(place.target) == 0
    assert capfd.readouterr().out == "shell\n"


def test_the_code_of_ssh_itself_is_a_failure(place):
    with pytest.raises(RemoteFailed) as caught:
        ssh.interactive(replace(place.target, port=closed_port()))
    assert caught.value.exit_code == 125


def test_a_shared_connection_is_made_once_and_holds_nobody_up(place):
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="gpuctl-t-") as name:
        target = replace(place.target, control=control_directory(Path(name)))
        began = time.monotonic()
        for _ in range(3):
            assert ssh.run(target, ["echo", "hello"], timeout=30).out == b"hello\n"
        assert time.monotonic() - began < 20
        assert place.machine.connections == 1
        exit_ = [*ssh.command(target)[:-2], "-O", "exit", target.alias]
        subprocess.run(exit_, capture_output=True, check=True)


def test_a_tunnel(place):
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))
        service.listen()
        with (
            ssh.forward(place.target, 0, service.getsockname()[1]) as port,
            socket.create_connection(("127.0.0.1", port), timeout=10) as client,
        ):
            client.sendall(b"ping")
            service.settimeout(10)
            heard = b""
            while heard != b"ping":  # the first connection only found out that the tunnel is open
                peer, _ = service.accept()
                with peer:
                    heard = peer.recv(4)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_tunnel_that_cannot_be(place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gone = replace(place.target, port=closed_port())
        with pytest.raises(RemoteFailed), ssh.forward(gone, 0, 8888):
            pass


def test_a_proxy_command_speaks_for_the_port(place, tmp_path):
    script = tmp_path / "pro xy.py"
    script.write_text(
        "import socket, sys, threading, os\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "def up():\n"
        "    while d := os.read(0, 65536): s.sendall(d)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while d := s.recv(65536): os.write(1, d)\n"
    )
    proxy = (sys.executable, str(script), str(place.machine.port), "100%h")
    target = replace(place.target, host="i-0abc", port=22, proxy=proxy)
    assert ssh.run(target, ["echo", "through"], timeout=30).out == b"through\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "-oProxyCommand=reboot"},
        {"host": "a b"},
        {"host": "$(reboot)"},
        {"user": "-l"},
        {"user": "a;b"},
        {"alias": "-F"},
        {"alias": "a\nHost *"},
        {"host_key_alias": "x\ny"},
        {"port": 0},
    ],
)
def test_names_that_ssh_could_misread_are_refused(changes):
    good = {
        "alias": "vision-1",
        "host": "203.0.113.7",
        "user": "ubuntu",
        "host_key_alias": "i-0abc",
        "identity": Path("/k"),
        "known_hosts": Path("/h"),
    }
    Target(**good)
    with pytest.raises(ValueError, match=r"."):
        Target(**(good | changes))


def test_a_long_socket_directory_is_passed_over(tmp_path):
    deep = tmp_path / ("d" * 80)
    assert control_directory(deep) is None
    assert not deep.exists()


def test_a_socket_directory_of_others_is_refused(tmp_path):
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        short.chmod(0o777)
        with pytest.raises(GpuctlError, match="not private"):
            control_directory(short)
    finally:
        shutil.rmtree(short)
