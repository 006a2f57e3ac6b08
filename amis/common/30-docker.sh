#!/usr/bin/env bash
# Docker, and GPUs in containers where the base has NVIDIA's toolkit. Safe to run again.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a

user="${GPUCTL_USER:-ubuntu}"

if ! command -v dockerd >/dev/null; then
  apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends docker.io
fi

# Whoever may use docker is root by another name; the login user has sudo already.
usermod -aG docker "$user"

# A job that writes much to stdout must not fill the disk through docker's log.
install -d -m 0755 /etc/docker
if [ ! -e /etc/docker/daemon.json ]; then
  cat >/etc/docker/daemon.json <<'CONF'
{
  "log-driver": "json-file",
  "log-opts": { "max-size": "50m", "max-file": "3" }
}
CONF
fi

# The toolkit is not in the distribution's own archive. The clouds' images have it.
if command -v nvidia-ctk >/dev/null; then
  nvidia-ctk runtime configure --runtime=docker
else
  echo "no nvidia-ctk here: containers of this image see no GPU" >&2
fi
systemctl enable docker.service
