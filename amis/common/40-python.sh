#!/usr/bin/env bash
# torch in a virtual environment that is the login user's own. Safe to run again.
#
# Where torch comes from is your pip configuration's business: it must know an index that has
# the builds for this version of CUDA. Yours is expected at /run/gpuctl/pip.conf for the time of
# the build; nothing of it stays in the image. A recipe without torch gets the environment alone.
set -euo pipefail

user="${GPUCTL_USER:-ubuntu}"
venv="/opt/gpuctl/venv"

if [ -r /run/gpuctl/pip.conf ]; then
  export PIP_CONFIG_FILE=/run/gpuctl/pip.conf
fi
export PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

install -d -m 0755 /opt/gpuctl
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
fi

if [ -n "${GPUCTL_TORCH:-}" ]; then
  cuda="${GPUCTL_CUDA:?build of CUDA such as cu126}"
  # The local part of the version (+cu126) is what keeps pip from taking a build for a newer
  # CUDA, which starts and then knows no kernel for a V100.
  if ! "$venv/bin/pip" install "torch==${GPUCTL_TORCH}+${cuda}" numpy; then
    echo "pip found no torch==${GPUCTL_TORCH}+${cuda}: name an index with the ${cuda} builds" \
      "in your own pip configuration (extra-index-url) and build again" >&2
    exit 1
  fi
  "$venv/bin/python" - "$cuda" <<'CODE'
import sys

import torch

assert torch.version.cuda.replace(".", "") == sys.argv[1].removeprefix("cu"), torch.version.cuda
print(torch.__version__, *torch.cuda.get_arch_list())
CODE
fi

chown -R "$user": "$venv"
cat >/etc/profile.d/gpuctl-venv.sh <<CONF
# Put first so that "python" in a job is the one that has torch.
case ":\$PATH:" in
  *":${venv}/bin:"*) ;;
  *) PATH="${venv}/bin:\$PATH" ;;
esac
CONF
