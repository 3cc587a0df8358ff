#!/usr/bin/env bash
# Shows vigia at work: serves the sample pictures as a moving live stream, with a page to watch it on.
#
#   scripts/demo.sh             until Ctrl-C; the page's address is printed
#   scripts/demo.sh --check     exit status 0 once the page has shown a face and a best shot
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -gt 0 ] && [ "$*" != --check ]; then
    echo "usage: scripts/demo.sh [--check]" >&2
    exit 2
fi

VIGIA_PROFILE=release scripts/setup.sh
cargo build --release -p vigia
vigia=${CARGO_TARGET_DIR:-target}/release/vigia

if [ $# = 0 ]; then
    echo "demo: the page is at the address below; Ctrl-C ends it"
    exec "$vigia" demo
fi

# The server tells its address on a line of its own, and that it is up by it.
folder=$(mktemp -d)
server=
# shellcheck disable=SC2317 # called by the trap
end() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap end EXIT
mkfifo "$folder/out"
"$vigia" demo >"$folder/out" &
server=$!
exec 3<"$folder/out"
address=
while [ -z "$address" ]; do
    read -r -u 3 line || { echo "demo: failed, the server did not start (its message is above)" >&2; exit 1; }
    case $line in *"listens on "*) address=${line##* } ;; esac
done
# What else it says is read, so that it never waits for a reader; ends when the server does.
cat <&3 >/dev/null &
exec 3<&-
echo "demo: the page is at $address"
python3 scripts/check_page.py "$address"
kill "$server"
status=0
wait "$server" || status=$?
server=
[ "$status" = 0 ] || { echo "demo: failed, the server ended with status $status" >&2; exit 1; }
echo "demo: the page has shown a face and a best shot, and the server has ended in order"
