#!/usr/bin/env bash
# For a base that brings its own driver: whether it is the one that the recipe counts on, and
# that it stays. Installs nothing. Safe to run again.
set -euo pipefail

version="$(modinfo -F version nvidia 2>/dev/null || true)"
if [ -z "$version" ]; then
  echo "this base has no NVIDIA driver for its kernel: is it the one that image.toml names?" >&2
  exit 1
fi
branch="${version%%.*}"
if [ -n "${GPUCTL_DRIVER:-}" ] && [ "$branch" != "$GPUCTL_DRIVER" ]; then
  echo "the base has driver ${version}, the recipe says branch ${GPUCTL_DRIVER}" >&2
  exit 1
fi
if [ -n "${GPUCTL_DRIVER_LEAST:-}" ] && [ "$branch" -lt "$GPUCTL_DRIVER_LEAST" ]; then
  echo "the base has driver ${version}, the recipe needs ${GPUCTL_DRIVER_LEAST} or later" >&2
  exit 1
fi

# The proprietary module has NVIDIA's licence, the open one is free.
case "$(modinfo -F license nvidia)" in
NVIDIA) module=proprietary ;;
*) module=open ;;
esac
if [ -n "${GPUCTL_MODULE:-}" ] && [ "$module" != "$GPUCTL_MODULE" ]; then
  echo "the base has the ${module} kernel module, the recipe says ${GPUCTL_MODULE}" >&2
  exit 1
fi

# Neither another driver nor a kernel without its module.
dpkg-query -W -f '${binary:Package} ${db:Status-Abbrev}\n' '*nvidia*' "linux-image-*" \
  "linux-headers-*" 2>/dev/null | awk '$2 == "ii" { print $1 }' | xargs -r apt-mark hold
