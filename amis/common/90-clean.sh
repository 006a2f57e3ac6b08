#!/usr/bin/env bash
# Last before the image is taken: nothing of this machine or of its builder stays. Safe to run
# again. Ends with an error where something that looks like a secret is left; who may log in is
# taken away only after that, so that a build that failed can be looked at.
set -euo pipefail

user="${GPUCTL_USER:-ubuntu}"
root="${GPUCTL_ROOT:-}" # set only where this script itself is tested
home="$root$(getent passwd "$user" | cut -d: -f6)"
scan="$(dirname "$0")/scan.py"

rm -rf "$root"/run/gpuctl/pip.conf "$root"/root/.cache "$root"/root/.config/pip "$home/.cache" "$home/.config/pip"
rm -f "$root"/etc/pip.conf "$root"/root/.pip/pip.conf "$home/.pip/pip.conf"
apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root"/tmp/* "$root"/var/tmp/*
find "$root"/var/log -type f -exec truncate -s 0 {} +

# Without what goes below. Python's isolated mode: nothing of a home directory is run.
python3 -I "$scan" --goes history,login,host-key,cloud-init,lease "$root/"

# Who may log in, and who this host is, is decided anew at each machine's first boot.
rm -f "$root"/root/.ssh/authorized_keys "$home/.ssh/authorized_keys"
rm -f "$root"/etc/ssh/ssh_host_*
rm -f "$root"/root/.*_history "$home"/.*_history "$root"/root/.lesshst "$home/.lesshst"
truncate -s 0 "$root"/etc/machine-id
rm -f "$root"/var/lib/dbus/machine-id "$root"/var/lib/systemd/random-seed
if command -v cloud-init >/dev/null; then
  cloud-init clean --logs --seed
fi
rm -rf "$root"/var/lib/cloud/instance "$root"/var/lib/cloud/instances "$root"/var/lib/cloud/seed

# The lease of the builder itself: with it, every machine of this image would end at its first
# boot. The switch that is armed now stays armed, and takes a lost deadline for one that is due.
rm -f "$root"/etc/systemd/system/gpuctl-deadline.* "$root"/etc/systemd/system/gpuctl-agent.service
rm -f "$root"/etc/systemd/system/*.wants/gpuctl-deadline.timer "$root"/etc/systemd/system/*.wants/gpuctl-agent.service
rm -f "$root"/etc/gpuctl/lease.json* "$root"/etc/gpuctl/deadline* "$root"/etc/gpuctl/superseded
rm -rf "$root"/var/lib/gpuctl
rm -f "$root"/usr/local/bin/gpuctl-agent*

python3 -I "$scan" "$root/"
sync
