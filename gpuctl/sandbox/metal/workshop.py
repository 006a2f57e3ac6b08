"""What the steps of an image's recipe call, on a machine that has no root and no packages.

The very step files run. Package managers say that they do nothing, and leave behind what a later
step looks for: a driver, docker's unit. Paths that begin at the root are led into the machine by
the shim of bash (shims/lead.py).
"""

import shlex
import shutil
import sys
from pathlib import Path

from gpuctl.sandbox.metal.layout import Layout

DRIVER = "etc/sandbox-driver"
"""Version and kind of the driver that is in the machine's image or was installed."""
_DIRECTORIES = (
    *("boot", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/modprobe.d", "etc/profile.d"),
    *("usr/local/lib", "var/lib/systemd", "var/tmp"),
)
_KERNEL = "boot/vmlinuz-6.8.0-1021-aws"

_BASH = """#!/bin/sh
# The steps of a recipe write below /etc and the like: the machine's own, not this computer's.
case "${{1:-}}" in
"$GPUCTL_ROOT"/run/gpuctl/build/*/recipe/*.sh)
  if [ ! -e "$1.led" ]; then
    {python} -IS {lead} "$1" "$GPUCTL_ROOT" && : >"$1.led" || exit 1
  fi
  ;;
esac
exec {bash} "$@"
"""
_PYTHON3 = """#!/bin/sh
if [ "${{1:-}} ${{2:-}}" = "-m venv" ]; then shift 2; exec {python} -IS {venv} "$@"; fi
exec {python3} "$@"
"""
_INSTALL = """#!/bin/sh
# Owners and groups are left out: the machine has one real user.
n=$#
while [ "$n" -gt 0 ]; do
  word=$1; shift; n=$((n - 1))
  case "$word" in
    -o|-g|--owner|--group) shift; n=$((n - 1)) ;;
    --owner=*|--group=*) ;;
    *) set -- "$@" "$word" ;;
  esac
done
exec {install} "$@"
"""
_GETENT = """#!/bin/sh
[ "${1:-}" = passwd ] && [ -n "${2:-}" ] || exit 2
case "$2" in root) home=/root ;; *) home=/home/$2 ;; esac
[ -d "$GPUCTL_ROOT$home" ] || exit 2
echo "$2:x:1000:1000::$home:/bin/bash"
"""
_APT_GET = """#!/bin/sh
# Installs nothing, and leaves behind what other steps look for.
echo "sandbox: apt-get does nothing here" >&2
for word in "$@"; do
  case "$word" in
    *[!a-z0-9.+-]*) ;;
    nvidia-headless*-open) kind=open ;;
    nvidia-headless*) kind=proprietary ;;
    docker.io)
      cat >"$GPUCTL_ROOT/etc/systemd/system/docker.service" <<UNIT
[Service]
Type=oneshot
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
UNIT
      ;;
  esac
  case "$word" in
    nvidia-headless*)
      branch=$(printf %s "$word" | tr -c 0-9 '\\n' | grep -m 1 '^[0-9][0-9][0-9]$')
      echo "$branch.95.05 $kind" >"$GPUCTL_ROOT/etc/sandbox-driver"
      ;;
  esac
done
exit 0
"""
_MODINFO = """#!/bin/sh
# Knows the driver that the machine's image has, or that a step has installed.
if ! read -r version kind 2>/dev/null <"$GPUCTL_ROOT/etc/sandbox-driver"; then
  echo "modinfo: ERROR: Module nvidia not found." >&2
  exit 1
fi
case " $* " in
  *" version "*) echo "$version" ;;
  *" license "*) [ "$kind" = open ] && echo "Dual MIT/GPL" || echo NVIDIA ;;
  *) echo "version:        $version" ;;
esac
"""
_QUIET = "#!/bin/sh\nexit 0\n"


def furnish(layout: Layout, driver: str | None) -> None:
    """Put it all into a machine; `driver` is what its image brings, as `580.95.05 open`."""
    for name in _DIRECTORIES:
        (layout.root / name).mkdir(parents=True, exist_ok=True)
    (layout.root / _KERNEL).touch()
    if driver is not None and not (layout.root / DRIVER).exists():
        (layout.root / DRIVER).write_text(f"{driver}\n", encoding="utf-8")
    here = Path(__file__).parent / "shims"
    known = {
        "python": shlex.quote(sys.executable),
        "lead": shlex.quote(str(here / "lead.py")),
        "venv": shlex.quote(str(here / "venv.py")),
        "python3": shlex.quote(shutil.which("python3") or sys.executable),
        "bash": shlex.quote(shutil.which("bash") or "/bin/sh"),
        "install": shlex.quote(shutil.which("install") or "/usr/bin/install"),
    }
    texts = {
        "bash": _BASH.format(**known),
        "python3": _PYTHON3.format(**known),
        "install": _INSTALL.replace("{install}", known["install"]),
        "getent": _GETENT,
        "apt-get": _APT_GET,
        "modinfo": _MODINFO,
        **dict.fromkeys(
            ("apt-cache", "apt-mark", "chown", "dpkg-query", "update-initramfs"), _QUIET
        ),
    }
    for name, text in texts.items():
        path = layout.shims / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
