#!/usr/bin/env bash
# The proprietary NVIDIA driver of one branch, from Ubuntu's own archive, pinned. Safe to run
# again. Needs no GPU.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a

branch="${GPUCTL_DRIVER:?driver branch such as 580}"
module="${GPUCTL_MODULE:-proprietary}"

apt_install() {
  apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

known() {
  apt-cache show "$1" >/dev/null 2>&1
}

# The kernel that the image will boot, which after an upgrade is not the one that runs now.
kernel="$(find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\n' | sort -V | tail -n 1)"
kernel="${kernel#vmlinuz-}"
flavour="${kernel##*-}" # aws, gcp or generic

open=""
if [ "$module" = "open" ]; then
  open="-open"
fi

# Modules that Ubuntu has built and signed start faster than ones built here; where there are
# none for this kernel, build.
signed="linux-modules-nvidia-${branch}-server${open}-${flavour}"
if known "linux-modules-nvidia-${branch}-server${open}-${kernel}" && known "$signed"; then
  apt_install "$signed" "nvidia-headless-no-dkms-${branch}-server${open}"
else
  apt_install "linux-headers-${kernel}" "nvidia-headless-${branch}-server${open}"
fi
apt_install "nvidia-utils-${branch}-server"

# Pinned: neither another branch of the driver nor a kernel without its module.
cat >/etc/apt/preferences.d/gpuctl-nvidia <<CONF
Package: *nvidia*-${branch}*
Pin: version ${branch}.*
Pin-Priority: 1001
CONF
dpkg-query -W -f '${binary:Package} ${db:Status-Abbrev}\n' '*nvidia*' "linux-image-*" \
  "linux-headers-*" 2>/dev/null | awk '$2 == "ii" { print $1 }' | xargs -r apt-mark hold
apt-mark hold "linux-${flavour}" "linux-image-${flavour}" "linux-headers-${flavour}" || true

# Nouveau would take the GPU first.
cat >/etc/modprobe.d/gpuctl-nouveau.conf <<'CONF'
blacklist nouveau
options nouveau modeset=0
CONF
update-initramfs -u -k "$kernel"

# Without persistence each start of a program pays seconds for waking the GPU.
systemctl enable nvidia-persistenced.service 2>/dev/null || true

modinfo -k "$kernel" -F version nvidia | grep -q "^${branch}\." || {
  echo "the module for kernel ${kernel} is not of branch ${branch}" >&2
  exit 1
}
