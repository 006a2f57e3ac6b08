#!/usr/bin/env bash
# What gpuctl looks for on a machine, and the image's own account of itself. Safe to run again.
set -euo pipefail

user="${GPUCTL_USER:-ubuntu}"
venv="/opt/gpuctl/venv"

install -d -m 0755 /etc/gpuctl
install -d -m 0755 -o "$user" -g "$user" /data

# A job that was left in tmux goes on when its ssh session ends.
mkdir -p /etc/systemd/logind.conf.d
cat >/etc/systemd/logind.conf.d/gpuctl.conf <<'CONF'
[Login]
KillUserProcesses=no
CONF
loginctl enable-linger "$user" 2>/dev/null || true

# What a first `import torch` reads: read ahead at boot, because a disk made from a snapshot
# fetches each block from far away at its first touch.
find "$venv/lib" -name '*.so*' -type f -size +1M | sort >/etc/gpuctl/prefetch.list
cat >/usr/local/lib/gpuctl-prefetch <<'CODE'
#!/bin/sh
xargs -r -a /etc/gpuctl/prefetch.list -d '\n' -n 1 -P 16 cat >/dev/null 2>&1 || true
CODE
chmod 0755 /usr/local/lib/gpuctl-prefetch
cat >/etc/systemd/system/gpuctl-prefetch.service <<'CONF'
[Unit]
Description=Read ahead what the first import of torch reads
After=local-fs.target

[Service]
Type=oneshot
Nice=10
IOSchedulingClass=idle
ExecStart=/usr/local/lib/gpuctl-prefetch

[Install]
WantedBy=multi-user.target
CONF
systemctl enable gpuctl-prefetch.service

jq -n \
  --arg name "${GPUCTL_IMAGE:?name of the image}" \
  --arg version "${GPUCTL_IMAGE_VERSION:?version of the image}" \
  --arg driver "${GPUCTL_DRIVER:-}" \
  --arg module "${GPUCTL_MODULE:-}" \
  --arg cuda "${GPUCTL_CUDA:-}" \
  --arg torch "${GPUCTL_TORCH:-}" \
  --arg built "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
  '{schema: "gpuctl.image/1", name: $name, version: $version, driver: $driver,
    module: $module, cuda: $cuda, torch: $torch, built: $built}' >/etc/gpuctl/image.json
