#!/usr/bin/env bash
# The tools that every job and gpuctl itself expect. Safe to run again.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a

apt_install() {
  apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

# First boot is still writing package lists while this starts. Exit status 2 means "done, with
# warnings", which is as good.
if command -v cloud-init >/dev/null; then
  cloud-init status --wait >/dev/null || [ "$?" -eq 2 ]
fi

# An upgrade that starts by itself takes the package lock, and may replace the kernel that the
# driver was made for, in the middle of a job.
systemctl disable --now apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true
systemctl stop apt-daily.service apt-daily-upgrade.service unattended-upgrades.service 2>/dev/null || true
cat >/etc/apt/apt.conf.d/99gpuctl <<'CONF'
APT::Periodic::Enable "0";
APT::Periodic::Update-Package-Lists "0";
APT::Periodic::Unattended-Upgrade "0";
Acquire::Retries "5";
CONF

apt-get -o DPkg::Lock::Timeout=300 update
# A base that brings a driver was put together for its kernel: both stay as they are.
if ! modinfo nvidia >/dev/null 2>&1; then
  apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold dist-upgrade -y
fi
apt_install build-essential ca-certificates chrony curl git htop jq kmod nvme-cli pciutils \
  python3 python3-pip python3-venv rsync tmux unzip
