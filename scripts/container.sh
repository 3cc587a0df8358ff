#!/usr/bin/env bash
# Tries the container where there is no container engine: runs the steps of the Containerfile in bare Debian roots made
# by debootstrap, measures the layers, runs the container as Kubernetes would, and checks the manifests.
#
#   scripts/container.sh           all of it: about 10 minutes on 2 cores, 5 GB of disk while it runs
#   KEEP=1 scripts/container.sh    keeps roots and caches: the next trial does only what has changed
#
#   VIGIA_CONTAINER_DIR=DIR        where the roots lie (default: vigia-container in the folder for temporary files)
#
# Needs root (for chroot and mounts, which end with each step), Linux on the architecture of the container, debootstrap,
# Rust, and what scripts/setup.sh needs to download. The machine's settings for apt, pip, npm and cargo are lent to the
# roots while a step runs. It is no part of scripts/test.sh: it takes too long.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
    printf 'container: %s\n' "$*" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || die "this needs root, for chroot and mounts: sudo -E scripts/container.sh"
for tool in debootstrap:debootstrap unshare:util-linux python3:python3 rustc:rust; do
    command -v "${tool%%:*}" >/dev/null || die "${tool%%:*} is missing: install ${tool##*:}"
done
unshare --mount --pid --fork true 2>/dev/null || die "mounts of its own are not allowed here (unshare --mount)"

work=${VIGIA_CONTAINER_DIR:-${TMPDIR:-/tmp}/vigia-container}
PYTHONDONTWRITEBYTECODE=1 exec python3 scripts/container/try.py --work "$work" "$@"
