"""The record of what the start of a training touches: opened and mapped files, whatever fails."""

import importlib.util
import subprocess
import sys

from gpuctl.config.builtin import recipes

SCRIPT = recipes() / "common/touched.py"
LIST = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("touched", sys.argv[1])
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
home = pathlib.Path(sys.argv[2])
def first():
    sys.path.insert(0, str(home))
    import slow_module
def broken():
    (home / "weights.bin").read_bytes()
    raise RuntimeError("no GPU")
script._NOT_KEPT = ("/proc/",)
print(*script.touched((first, broken)), sep="\\n")
"""


def test_what_is_opened_before_a_part_fails_is_told_in_order(tmp_path):
    (tmp_path / "slow_module.py").write_text("import sqlite3")
    (tmp_path / "weights.bin").write_bytes(b"x")
    (tmp_path / "untouched.bin").write_bytes(b"x")
    argv = [sys.executable, "-IB", "-c", LIST, str(SCRIPT), str(tmp_path)]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(set(lines))
    names = [line.rpartition("/")[2] for line in lines]
    assert names.index("slow_module.py") < names.index("weights.bin")
    assert any(name.startswith("libsqlite3.so") or "_sqlite3" in name for name in names)
    assert "untouched.bin" not in names


def test_the_script_names_files_that_an_image_keeps_and_ends_well_without_torch():
    done = subprocess.run(
        [sys.executable, "-IB", str(SCRIPT)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines
    assert all(line.startswith("/") for line in lines)
    assert not [line for line in lines if line.startswith(("/proc/", "/tmp/", "/run/"))]
    assert str(SCRIPT.resolve()) not in lines


def test_mapped_files_are_read_from_the_kernels_own_list():
    spec = importlib.util.spec_from_file_location("touched", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    maps = (
        "7f00-7f01 r-xp 00000000 08:01 12 /opt/a b.so\n7f02-7f03 rw-p 0 00:00 0\n7 r 0 0 0 [heap]\n"
    )
    assert list(script.mapped(maps)) == ["/opt/a b.so"]
