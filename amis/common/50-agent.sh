#!/usr/bin/env bash
# What gpuctl looks for on a machine, and the image's own account of itself. Safe to run again.
#
# Neither the agent nor the dead-man's switch is in an image: each start brings those of the
# gpuctl that starts it, so that an old image never runs an old switch.
set -euo pipefail

user="${GPUCTL_USER:-ubuntu}"
venv="/opt/gpuctl/venv"
here="$(cd "$(dirname "$0")" && pwd)"

install -d -m 0755 /etc/gpuctl
install -d -m 0755 -o "$user" -g "$user" /data

# A job that was left in tmux goes on when its ssh session ends. As loginctl would, which wants
# a running system.
install -D -m 0644 "$here/units/logind.conf" /etc/systemd/logind.conf.d/gpuctl.conf
install -d -m 0755 /var/lib/systemd/linger
touch "/var/lib/systemd/linger/$user"

# What the start of a training reads: read ahead at boot, because a disk made from a snapshot
# fetches each block from far away at its first touch. It is recorded here, without a GPU; what
# torch loads only when it finds one comes after it.
{
  if [ -n "${GPUCTL_TORCH:-}" ]; then
    "$venv/bin/python" -IB "$here/touched.py" || true
  fi
  find "$venv/lib" -name '*.so*' -type f -size +1M \
    \( -name 'libcudnn*' -o -name 'libcublas*' -o -name 'libnvrtc*' -o -name 'libtorch*' \) | sort
} | awk '!seen[$0]++' >/etc/gpuctl/prefetch.list
install -m 0755 "$here/units/gpuctl-prefetch" /usr/local/lib/gpuctl-prefetch
install -m 0644 "$here/units/gpuctl-prefetch.service" /etc/systemd/system/
systemctl enable gpuctl-prefetch.service

driver="$(modinfo -F version nvidia 2>/dev/null || true)"
python3 -I - "name=${GPUCTL_IMAGE:?name of the image}" \
  "version=${GPUCTL_IMAGE_VERSION:?version of the image}" \
  "driver=${driver:-${GPUCTL_DRIVER:-}}" \
  "module=${GPUCTL_MODULE:-}" \
  "cuda=${GPUCTL_CUDA:-}" \
  "torch=${GPUCTL_TORCH:-}" \
  "built=$(date -u +%Y-%m-%dT%H:%M:%SZ)" >/etc/gpuctl/image.json <<'CODE'
import json
import sys

told = dict(word.split("=", 1) for word in sys.argv[1:])
print(json.dumps({"schema": "gpuctl.image/1", **told}, indent=2))
CODE
