#!/usr/bin/env bash
# Shows vigia at work: finds the faces in the pictures of .vigia/samples and draws them.
#
#   scripts/demo.sh [--check]     exit status 0 once a face was found; --check is for machines and does the same
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -gt 0 ] && [ "$*" != --check ]; then
    echo "usage: scripts/demo.sh [--check]" >&2
    exit 2
fi

VIGIA_PROFILE=release scripts/setup.sh
cargo build --release -p vigia

results=.vigia/demo/results.jsonl
rm -rf .vigia/demo
mkdir -p .vigia/demo
: >$results
status=0
cargo run --quiet --release -p vigia -- detect .vigia/samples --save .vigia/demo --json $results || status=$?

# One line of JSON for each picture; exits with 1 where no face was found.
python3 - $results <<'PYTHON' || status=1
import json
import sys

with open(sys.argv[1], encoding="utf-8") as lines:
    faces = [sum(found["class"] == "face" for found in json.loads(line)["detections"]) for line in lines]
print(f"demo: {len(faces)} pictures, {sum(faces)} faces found")
sys.exit(sum(faces) == 0)
PYTHON

if [ "$status" != 0 ]; then
    echo "demo: failed" >&2
    exit "$status"
fi
echo "demo: the pictures with the faces drawn are in .vigia/demo, what was found is in $results"
