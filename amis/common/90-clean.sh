#!/usr/bin/env bash
# Last before the image is taken: nothing of this machine or of its builder stays. Safe to run
# again. Ends with an error where something that looks like a secret is left.
set -euo pipefail

user="${GPUCTL_USER:-ubuntu}"
root="${GPUCTL_ROOT:-}" # set only where this script itself is tested
home="$root$(getent passwd "$user" | cut -d: -f6)"

rm -rf "$root"/run/gpuctl/pip.conf "$root"/root/.cache "$root"/root/.config/pip "$home/.cache" "$home/.config/pip"
rm -f "$root"/etc/pip.conf "$root"/root/.pip/pip.conf "$home/.pip/pip.conf"
apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root"/tmp/* "$root"/var/tmp/*

# Looked for after the caches and before the logins go: a find stops the build.
found="$(
  for directory in "$root"/root "$home"; do
    find "$directory" -xdev \( -path '*/.aws/*' -o -path '*/.config/gcloud/*' -o -name '.netrc' \
      -o -name '.env' -o -name '*.pem' -o -name 'id_*' ! -name '*.pub' \
      -o -name '.git-credentials' -o -path '*/.docker/config.json' -o -name '.huggingface' \) \
      -type f -print
    grep -rlsIE 'AKIA[A-Z0-9]{16}|BEGIN [A-Z ]*PRIVATE KEY|gh[pousr]_[A-Za-z0-9]{30}|hf_[A-Za-z0-9]{30}' \
      --exclude-dir=venv "$directory" || true
  done | sort -u
)"
if [ -n "$found" ]; then
  echo "these look like secrets and would be in the image:" >&2
  echo "$found" >&2
  exit 1
fi

# Who may log in, and who this host is, is decided anew at each machine's first boot.
rm -f "$root"/root/.ssh/authorized_keys "$home/.ssh/authorized_keys"
rm -f "$root"/etc/ssh/ssh_host_*
rm -f "$root"/root/.bash_history "$home/.bash_history" "$root"/root/.python_history "$home/.python_history"
truncate -s 0 "$root"/etc/machine-id
rm -f "$root"/var/lib/dbus/machine-id
find "$root"/var/log -type f -exec truncate -s 0 {} +
if command -v cloud-init >/dev/null; then
  cloud-init clean --logs --seed
fi
sync
