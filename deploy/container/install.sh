#!/bin/sh
# Puts what was built into a folder as it will lie in the container.
#
#   install.sh TARGET     in the repository's root, after scripts/setup.sh and the build
set -eu

target=$1
home=$target/opt/vigia
licences=$target/usr/share/doc/vigia
mkdir -p "$home/bin" "$home/.vigia/lib" "$home/.vigia/models" "$target/usr/local/bin" "$target/etc/vigia" "$licences"

strip -o "$home/bin/vigia" target/release/vigia
ln -s /opt/vigia/bin/vigia "$target/usr/local/bin/vigia"
cp .vigia/lib/libonnxruntime.so "$home/.vigia/lib/"
cp .vigia/models/tiny-face.onnx .vigia/models/face-landmarks-68.onnx "$home/.vigia/models/"
cp deploy/container/vigia.yaml "$target/etc/vigia/"

cp LICENSE vigia.example.yaml "$licences/"
cp .vigia/npm/node_modules/@vladmandic/face-api/LICENSE "$licences/LICENSE.face-api"
# The wheel that set-up has just taken the library from: pip still has it.
wheel=$(mktemp -d)
PIP_REQUIRE_VIRTUALENV=false python3 -m pip --quiet --disable-pip-version-check --no-input download --require-hashes \
    -r scripts/onnxruntime.txt --no-deps --only-binary=:all: --implementation cp --python-version 3.12 --abi cp312 \
    --platform "manylinux_2_28_$(uname -m)" --dest "$wheel"
python3 - "$wheel"/*.whl "$licences" <<'PYTHON'
import pathlib
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        text = wheel.read(f"onnxruntime/{name}")
        pathlib.Path(sys.argv[2], f"{name}.onnxruntime").write_bytes(text)
PYTHON
rm -r "$wheel"
chmod -R u=rwX,go=rX "$target"
