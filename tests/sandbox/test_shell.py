"""A machine of the sandbox, seen through OpenSSH's own client."""

import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest


def test_a_command_runs_in_the_users_home_and_its_exit_code_comes_back(room):
    room.boot()
    told = room.sh('pwd; echo "$HOME $USER"; echo oops >&2; exit 7')
    home = str(room.root() / "home/ubuntu")
    assert told.stdout.decode().splitlines() == [home, f"{home} ubuntu"]
    assert told.stderr == b"oops\n"
    assert told.returncode == 7


def test_stdin_reaches_the_command_up_to_its_end(room):
    room.boot()
    data = bytes(range(256)) * 4096
    told = room.sh("cat", stdin=data)
    assert told.stdout == data


def test_a_command_killed_by_a_signal_is_told_as_such(room):
    room.boot()
    assert room.sh("kill -TERM $$").returncode == 255  # OpenSSH's word for exit-signal


def test_a_failed_exec_in_a_pipeline_does_not_hang(room):
    room.boot()
    assert room.sh("head -c 1 >/dev/null", stdin=b"x" * 3_000_000).returncode == 0


def test_no_variable_of_the_caller_is_seen(room, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("GPUCTL_HOME", "/home/me")
    room.boot()
    names = {line.partition("=")[0] for line in room.sh("env").stdout.decode().splitlines()}
    assert "GPUCTL_ROOT" in names
    assert not names & {"AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "GPUCTL_HOME"}


def test_only_the_authorized_key_and_the_user_open_the_door(room, tmp_path):
    room.boot(authorized_keys=())
    assert room.sh("true").returncode == 255
    room.metal.authorize("i-0abc", [f"ubuntu:{room.ssh.public_key}"])
    assert room.sh("true").returncode == 0
    assert room.sh("true", user="root").returncode == 255


def test_the_host_key_survives_a_power_cycle_and_is_told_on_the_console(room):
    room.boot()
    (key,) = room.metal.host_keys("i-0abc")
    kind, blob = key.split()[:2]
    port = room.port()
    scan = subprocess.run(
        ["ssh-keyscan", "-p", str(port), "-t", "ed25519", "127.0.0.1"],
        check=False,
        capture_output=True,
    ).stdout.decode()
    assert f"{kind} {blob}" in scan
    room.metal.power_off("i-0abc")
    room.boot()
    assert room.metal.host_keys("i-0abc") == (key,)
    block = room.metal.console("i-0abc").partition("-----BEGIN SSH HOST KEY KEYS-----\n")[2]
    assert block.startswith(key)


def test_many_sessions_at_once(room):
    room.boot()
    argv = room.ssh.argv(room.port())
    started = time.monotonic()
    runs = [subprocess.Popen([*argv, f"sleep 1; exit {n}"]) for n in range(5)]
    assert [run.wait(30) for run in runs] == [0, 1, 2, 3, 4]
    assert time.monotonic() - started < 5


def test_a_terminal_is_one(room):
    room.boot()
    told = subprocess.run(
        [*room.ssh.argv(room.port(), "-tt"), "tty; stty size; exit 3"],
        input=b"",
        check=False,
        capture_output=True,
        timeout=30,
    )
    assert b"/dev/" in told.stdout
    assert told.returncode == 3


def test_a_login_shell_keeps_the_machines_path(room):
    room.boot()
    told = subprocess.run(
        room.ssh.argv(room.port(), "-tt"),
        input=b'echo "got:$(command -v nvidia-smi)"; exit 5\n',
        check=False,
        capture_output=True,
        timeout=30,
    )
    assert f"got:{room.root()}/shims/nvidia-smi".encode() in told.stdout
    assert told.returncode == 5


def test_tar_both_ways(room, tmp_path):
    room.boot()
    source = tmp_path / "code"
    source.mkdir()
    (source / "train.py").write_text("print(1)\n")
    archive = tmp_path / "code.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(source, "code")
    assert room.sh("tar -xf -", stdin=archive.read_bytes()).returncode == 0
    assert (room.root() / "home/ubuntu/code/train.py").read_text() == "print(1)\n"
    back = tmp_path / "back.tar"
    back.write_bytes(room.sh("tar -cf - code").stdout)
    with tarfile.open(back) as tar:
        assert "code/train.py" in tar.getnames()


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")
def test_rsync(room, tmp_path):
    room.boot()
    (tmp_path / "a").write_text("x")
    shell = " ".join(room.ssh.argv(room.port())[:-1])
    told = subprocess.run(
        ["rsync", "-a", "-e", shell, str(tmp_path / "a"), "ubuntu@127.0.0.1:a"],
        check=False,
        timeout=30,
    )
    assert told.returncode == 0
    assert (room.root() / "home/ubuntu/a").read_text() == "x"


@pytest.mark.skipif(not shutil.which("scp"), reason="scp is not installed")
def test_scp_into_home_and_into_the_machines_own_absolute_paths(room, tmp_path):
    room.boot()
    (tmp_path / "a").write_text("x")
    argv = ["scp", *room.ssh.argv(room.port())[1:-1], str(tmp_path / "a")]
    argv[argv.index("-p")] = "-P"
    for to in ("b", "/data/c"):
        told = subprocess.run(
            [*argv, f"ubuntu@127.0.0.1:{to}"], check=False, capture_output=True, timeout=30
        )
        assert told.returncode == 0, told.stderr
    assert (room.root() / "home/ubuntu/b").read_text() == "x"
    assert (room.root() / "data/c").read_text() == "x"


def test_a_port_is_forwarded_to_loopback_and_nowhere_else(room, wait_for):
    room.boot()
    with (
        socket.create_server(("127.0.0.1", 0)) as served,
        socket.create_server(("127.0.0.1", 0)) as free,
    ):
        local = free.getsockname()[1]
        free.close()
        remote = served.getsockname()[1]
        forward = ("-N", "-L", f"127.0.0.1:{local}:127.0.0.1:{remote}")
        with subprocess.Popen(room.ssh.argv(room.port(), *forward)) as tunnel:
            wait_for(lambda: _listens(local))
            with socket.create_connection(("127.0.0.1", local), timeout=10) as near:
                far, _ = served.accept()
                with far:
                    near.sendall(b"there")
                    assert far.recv(5) == b"there"
                    far.sendall(b"back")
                    assert near.recv(4) == b"back"
                assert near.recv(1) == b""
            tunnel.terminate()
    refused = subprocess.run(
        room.ssh.argv(room.port(), "-W", "10.1.2.3:80"),
        check=False,
        capture_output=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert refused.returncode != 0


def _listens(port: int) -> bool:
    """Whether the port is taken: told without a connection, which would be forwarded."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
def test_tmux_outlives_its_session_and_dies_with_the_machine(room, wait_for):
    room.boot()
    started = room.sh("tmux new-session -d -s job 'echo on > started; sleep 600'")
    assert started.returncode == 0, started.stderr
    wait_for((room.root() / "home/ubuntu/started").exists)
    assert room.sh("tmux has-session -t job").returncode == 0
    pid = int(room.sh("tmux display-message -p -t job '#{pid}'").stdout)
    socket_directory = Path(room.sh('printf %s "$TMUX_TMPDIR"').stdout.decode())
    room.metal.power_off("i-0abc")
    assert not _alive(pid)
    assert not socket_directory.exists()


def _alive(pid: int) -> bool:
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True
    ).stdout
    return bool(listed.strip()) and not listed.startswith(b"Z")


def test_power_off_ends_background_processes_and_connections_and_keeps_the_files(room):
    room.boot()
    room.sh("echo kept > file")
    pid = int(room.sh("setsid sleep 600 >/dev/null 2>&1 & echo $!").stdout)
    with subprocess.Popen(
        [*room.ssh.argv(room.port()), "echo up; sleep 600"], stdout=subprocess.PIPE
    ) as open_one:
        assert open_one.stdout.readline() == b"up\n"
        port = room.port()
        room.metal.power_off("i-0abc")
        assert open_one.wait(10) == 255
    assert not _alive(pid)
    assert not _connects(port)
    assert not (room.directory / "metal/i-0abc/endpoint.json").exists()
    room.metal.power_off("i-0abc")
    room.boot()
    assert room.sh("cat file").stdout == b"kept\n"


def test_destroy_leaves_nothing(room):
    room.boot()
    room.metal.destroy("i-0abc")
    room.metal.destroy("i-0abc")
    assert not (room.directory / "metal/i-0abc").exists()
