"""The steps that need neither a GPU nor NVIDIA's packages, run for real in a root of their own.

They take minutes and some 300 MB of packages, so `make images` asks for them by IMAGE_STEPS=1.
With IMAGE_ROOT=FILE.tar the root is that archive's, instead of a fresh one by debootstrap.
"""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from gpuctl.config.builtin import recipes
from gpuctl.config.recipe import read_recipe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not os.environ.get("IMAGE_STEPS"), reason="minutes long: make images"),
    pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root"),
    pytest.mark.skipif(
        shutil.which("debootstrap") is None and not os.environ.get("IMAGE_ROOT"),
        reason="debootstrap is not installed",
    ),
]

RECIPE = read_recipe(recipes() / "portable-cu126")
STEPS = [step.name for step in RECIPE.steps if step.parent.name == "common"]
TORCH = {
    "torch/__init__.py": '__version__ = "2.10.0+cu126"\nfrom torch import cuda, version\n',
    "torch/cuda.py": 'def get_arch_list():\n    return ["sm_70", "sm_90"]\n',
    "torch/version.py": 'cuda = "12.6"\n',
}
PLANTED = {
    "root/.ssh/authorized_keys": "ssh-ed25519 AAAA builder",
    "etc/ssh/ssh_host_ed25519_key": "x",
    "home/debian/.bash_history": "ls",
    "var/lib/cloud/instances/i-0abc/user-data.txt": "#!/bin/sh",
    "etc/gpuctl/deadline": "1700000000",
    "etc/systemd/system/gpuctl-deadline.timer": "[Timer]",
}


def wheel(directory, name, version, files):
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A Debian with systemd, a login user, our recipes, and an index of packages on its disk."""
    place = tmp_path_factory.mktemp("debian") / "root"
    if archive := os.environ.get("IMAGE_ROOT"):
        place.mkdir()
        subprocess.run(["tar", "-C", place, "-xf", archive], check=True)
    else:
        include = "--include=systemd,ca-certificates"
        command = ["debootstrap", "--variant=minbase", include, "bookworm", place]
        subprocess.run(command, check=True, capture_output=True)
    place.chmod(0o755)
    shutil.copy("/etc/resolv.conf", place / "etc/resolv.conf")
    shutil.copytree(recipes(), place / "opt/recipes")
    (place / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (place / "usr/sbin/policy-rc.d").chmod(0o755)
    inside(place, "useradd", "--create-home", "--shell", "/bin/bash", "debian")
    packages = place / "opt/packages"
    packages.mkdir()
    wheel(packages, "torch", "2.10.0+cu126", TORCH)
    wheel(packages, "numpy", "2.0.0", {"numpy/__init__.py": ""})
    mounts = [place / "proc", place / "dev"]
    subprocess.run(["mount", "-t", "proc", "proc", mounts[0]], check=True)
    subprocess.run(["mount", "--bind", "/dev", mounts[1]], check=True)
    yield place
    for mount in mounts:
        subprocess.run(["umount", mount], check=True)


def inside(root, *words, **environ):
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    done = subprocess.run(
        ["chroot", root, *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8", **environ},
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


def state(root):
    """What must not differ between a first and a second run: paths and modes."""
    found = {}
    for top in ("etc", "opt/gpuctl", "home", "data", "usr/local", "root"):
        for path in sorted((root / top).rglob("*")):
            if "__pycache__" not in path.parts:
                found[str(path.relative_to(root))] = oct(path.lstat().st_mode)
    return found


def run_all(root):
    environ = {**RECIPE.environment(), "GPUCTL_USER": "debian"}
    for inner, text in PLANTED.items():
        (root / inner).parent.mkdir(parents=True, exist_ok=True)
        (root / inner).write_text(text)
    (root / "run/gpuctl").mkdir(parents=True, exist_ok=True)
    offline = "[global]\nno-index = true\nfind" + "-links = /opt/packages\n"
    (root / "run/gpuctl/pip.conf").write_text(offline)
    for step in STEPS:
        if step != "90-clean.sh":
            inside(root, "bash", f"/opt/recipes/common/{step}", **environ)
    return inside(root, "bash", "/opt/recipes/common/90-clean.sh", **environ)


def test_the_steps_make_the_same_image_twice_and_leave_nothing_of_the_builder(root: Path):
    assert STEPS == [
        "10-base.sh",
        "30-docker.sh",
        "40-python.sh",
        "50-agent.sh",
        "90-clean.sh",
    ]
    run_all(root)
    first = state(root)
    told = json.loads((root / "etc/gpuctl/image.json").read_text())
    assert (told["name"], told["torch"], told["driver"]) == ("torch-portable", "2.10.0", "580")
    run_all(root)
    assert state(root) == first

    for inner in (*PLANTED, "run/gpuctl/pip.conf"):
        assert not (root / inner).exists(), inner
    assert (root / "etc/machine-id").read_text() == ""
    scan = inside(root, "python3", "-I", "/opt/recipes/common/scan.py", "/")
    assert scan.stderr == ""
    python = inside(
        root, "/opt/gpuctl/venv/bin/python", "-c", "import torch; print(torch.version.cuda)"
    )
    assert python.stdout == "12.6\n"
    assert "docker" in inside(root, "id", "-nG", "debian").stdout
    enabled = root / "etc/systemd/system/multi-user.target.wants"
    assert {"docker.service", "gpuctl-prefetch.service"} <= {
        path.name for path in enabled.iterdir()
    }

    (root / "home/debian/.netrc").write_text("password x")
    environ = {**RECIPE.environment(), "GPUCTL_USER": "debian"}
    with pytest.raises(AssertionError, match=r"/home/debian/\.netrc"):
        inside(root, "bash", "/opt/recipes/common/90-clean.sh", **environ)
