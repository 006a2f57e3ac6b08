"""The very steps run on the sandbox's machines, and never touch this computer."""

import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl.sandbox.metal import shims
from gpuctl.sandbox.metal.kept import Kept
from gpuctl.sandbox.metal.shims.lead import led

SHIMS = Path(shims.__file__).parent


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("cat >/etc/x <<'CONF'", "cat >/R/etc/x <<'CONF'"),
        ('venv="/opt/gpuctl/venv"', 'venv="/R/opt/gpuctl/venv"'),
        ("install -d -m 0755 /data", "install -d -m 0755 /R/data"),
        ("find /boot -maxdepth 1", "find /R/boot -maxdepth 1"),
        ("rm -f \"$root\"/etc/ssh/x '/var/x'", "rm -f \"$root\"/etc/ssh/x '/R/var/x'"),
        ('x="${y:-/etc/z}"', 'x="${y:-/R/etc/z}"'),
        ("cp a /usr/share/b; /usr/bin/env c", "cp a /R/usr/share/b; /usr/bin/env c"),
        ("echo >/dev/null; a/etc/b /etcetera", "echo >/dev/null; a/etc/b /etcetera"),
        ('open("/etc/x") # https://h/etc/', 'open("/R/etc/x") # https://h/etc/'),
    ],
)
def test_paths_are_led_into_the_machine(line: str, there: str) -> None:
    head = "#!/usr/bin/env bash\n"
    assert led(f"{head}{line}\n", "/R") == f"{head}{there}\n"


def test_an_image_is_what_the_machine_had_and_nothing_of_its_run(tmp_path: Path) -> None:
    root, kept = tmp_path / "root", Kept(tmp_path / "images")
    for name in ("etc/mine", "run/secret", "shims/x", "var/lib/cloud/instance/sem"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    kept.keep("ami-1", root)
    kept.copy("ami-1", "ami-2")
    kept.copy("ami-nobodys", "ami-3")
    (root / "etc/mine").write_text("later")
    for image in ("ami-1", "ami-2"):
        kept.restore(image, tmp_path / image)
        found = {str(f.relative_to(tmp_path / image)) for f in (tmp_path / image).rglob("*/*")}
        assert found == {"etc/mine", "var/lib"}
        assert (tmp_path / image / "etc/mine").read_text() == "x"
    kept.restore("ami-3", tmp_path / "ami-3")
    kept.restore(None, tmp_path / "none")
    kept.restore("ami-1", root)  # it has been started before
    assert (root / "etc/mine").read_text() == "later"
    kept.clear()
    assert not (tmp_path / "ami-3").exists()


def test_pip_wants_the_build_for_cuda_and_the_stand_in_says_what_it_is(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-IS", SHIMS / "venv.py", venv], check=True)

    def pip(*words: str) -> int:
        return subprocess.run(
            [venv / "bin/pip", *words], capture_output=True, check=False
        ).returncode

    assert pip("install", "torch==2.10.0") == 1
    assert pip("install", "torch==2.10.0+cu126", "numpy") == 0
    moved = venv.rename(tmp_path / "elsewhere")
    code = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"
    said = subprocess.run(
        [moved / "bin/python", "-c", code],
        env={"GPUCTL_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert said.stdout == "2.10.0+cu126 12.6 False\n"
