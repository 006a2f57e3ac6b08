"""Putting the shims into a machine: scripts that stand before this computer's own commands."""

import json
import shlex
import shutil
import sys
from pathlib import Path

from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.world import Boot

_ASKING = (
    "systemctl",
    "systemd-run",
    "poweroff",
    "halt",
    "reboot",
    "shutdown",
    "wall",
    "logger",
    "journalctl",
)
_INERT = (
    *("apt", "apt-get", "dnf", "snap", "yum"),
    *("chpasswd", "crontab", "groupadd", "loginctl", "useradd", "usermod", "visudo"),
    *("hostnamectl", "modprobe", "sysctl", "timedatectl", "ufw"),
    *("ip6tables", "iptables", "nft"),
    *("mkfs.ext4", "mkfs.xfs", "mount", "resize2fs", "swapon", "umount"),
)
"""What would change this computer: on a machine of the sandbox it says so and does nothing."""

_SUDO = """#!/bin/sh
# The machine has one real user: whoever started the sandbox.
while [ $# -gt 0 ]; do
  case "$1" in
    -u|-g|-C|-p|-h|-D|-R|-T) shift 2 ;;
    -l|-v|-k|-K) exit 0 ;;
    --) shift; break ;;
    -*) shift ;;
    [A-Za-z_]*=*) export "${1?}"; shift ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || exec /bin/sh -l
shim=$GPUCTL_ROOT/shims/${1##*/}
case "$1" in
  /*) if [ -x "$shim" ]; then shift; set -- "$shim" "$@"; fi ;;
esac
exec "$@"
"""
_INERT_TEXT = """#!/bin/sh
echo "sandbox: {name} does nothing here" >&2
exit 0
"""
_CLOUD_INIT = """#!/bin/sh
# Of cloud-init only what waits for it.
[ "$1" = status ] || exit 0
done="$GPUCTL_ROOT/var/lib/cloud/instance/boot-finished"
case " $* " in *" --wait "*|*" -w "*) while [ ! -e "$done" ]; do sleep 0.1; done ;; esac
if [ -e "$done" ]; then echo "status: done"; else echo "status: running"; fi
"""
_CURL = """#!/bin/sh
# The metadata service has an address of its own here.
to=${{AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://$GCE_METADATA_HOST}}
n=$#
while [ "$n" -gt 0 ]; do
  word=$1; shift; n=$((n - 1))
  case "$word" in
    http://169.254.169.254/*) word="$to/${{word#http://169.254.169.254/}}" ;;
    http://metadata.google.internal/*) word="$to/${{word#http://metadata.google.internal/}}" ;;
  esac
  set -- "$@" "$word"
done
exec {curl} "$@"
"""
_MEMORY_MIB = {
    "H200": 143771,
    "H100": 81559,
    "B200": 183359,
    "A100": 40960,
    "L40S": 46068,
    "A10G": 23028,
    "V100": 16384,
    "L4": 23034,
    "T4": 15360,
    "P100": 16384,
    "K80": 11441,
}


def install(layout: Layout, boot: Boot) -> None:
    """Write them all, and what nvidia-smi knows."""
    here = Path(__file__).parent / "shims"
    python = f"{shlex.quote(sys.executable)} -IS"
    for name in _ASKING:
        ask = shlex.quote(str(here / "ask.py"))
        _write(layout, name, f'#!/bin/sh\nexec {python} {ask} {name} "$@"\n')
    for name in _INERT:
        _write(layout, name, _INERT_TEXT.format(name=name))
    smi = shlex.quote(str(here / "nvidia_smi.py"))
    _write(layout, "nvidia-smi", f'#!/bin/sh\nexec {python} {smi} "$@"\n')
    _write(layout, "sudo", _SUDO)
    _write(layout, "cloud-init", _CLOUD_INIT)
    if curl := shutil.which("curl"):
        _write(layout, "curl", _CURL.format(curl=shlex.quote(curl)))
    if not shutil.which("python3"):
        _write(layout, "python3", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    _describe_gpu(layout, boot)


def _write(layout: Layout, name: str, text: str) -> None:
    path = layout.shims / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _describe_gpu(layout: Layout, boot: Boot) -> None:
    path = layout.root / "etc/sandbox-gpu.json"
    if not boot.gpus:
        path.unlink(missing_ok=True)
        return
    name = boot.gpu or "NVIDIA GPU"
    memory = next((mib for key, mib in _MEMORY_MIB.items() if key in name.upper()), 16384)
    told = {"name": name, "count": boot.gpus, "memory_mib": memory}
    path.write_text(json.dumps(told), encoding="utf-8")
