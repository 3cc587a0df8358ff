#!/usr/bin/env bash
# Every check of the project, in the order of the quickest answer. The same here and in continuous integration.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

current=setup
finish() {
    local status=$?
    if [ "$status" = 0 ]; then
        echo "test: everything passed in $SECONDS s"
    else
        echo "test: failed after $SECONDS s, at: $current" >&2
    fi
}
trap finish EXIT

# step COMMAND...: says what runs, then runs it.
step() {
    current="$*"
    echo "test: [$SECONDS s] $current"
    "$@"
}

# component NAME COMMAND...: a step that needs an optional component of the Rust toolchain.
component() {
    local name=$1
    shift
    if cargo "$name" --version >/dev/null 2>&1; then
        step "$@"
    else
        echo "test: skipped, cargo $name is not installed ('rustup component add'): $*"
    fi
}

VIGIA_PROFILE=dev VIGIA_SETUP_TESTS=1 step scripts/setup.sh
component fmt cargo fmt --check
component clippy cargo clippy --workspace --all-targets -- -D warnings
step cargo run -p xtask -- check
# Set-up is done: what needs it must run, not skip.
export VIGIA_TESTS_MUST_RUN=1
step cargo test --workspace
# The server, as the tests have just built it, against its own OpenAPI description.
step python3 scripts/contract.py
step env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
# Without GStreamer and ONNX Runtime.
step cargo test --no-default-features -p vigia
