#!/usr/bin/env bash
# Installs what vigia needs to build and run: GStreamer and libjpeg-turbo (with apt), ONNX Runtime's library and the
# default models (into .vigia). Does only what is not done yet, so it may be run at any time.
#
#   VIGIA_PROFILE=dev       the cargo profile that converts the models (default: release)
#   VIGIA_SETUP_TESTS=1     also what some tests use: ffmpeg, GStreamer's RTSP server, PostgreSQL, Python's venv and moto
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=${VIGIA_PROFILE:-release}
gstreamer=1.22
# ca-certificates: for https and rtsps sources.
packages=(
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev libturbojpeg0-dev
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav ca-certificates
)
test_packages=(ffmpeg gir1.2-gst-rtsp-server-1.0 python3-gi)

worked=
say() {
    worked=1
    printf 'setup: %s\n' "$*"
}
die() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# --- Rust ------------------------------------------------------------------------------------------------------------

check_rust() {
    local want version
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! have cargo || ! have rustc; then
        die "cargo and rustc are missing: install Rust $want or newer, see https://rustup.rs"
    fi
    version=$(rustc --version) || die "rustc does not run (its message is above); vigia needs Rust $want or newer"
    version=${version#rustc }
    version=${version%%[- ]*}
    printf '%s\n' "$want" "$version" | sort -C -V ||
        die "Rust $version is too old, vigia needs $want or newer ('rustup update')"
}

# --- packages of the system ------------------------------------------------------------------------------------------

# The Debian packages among the arguments that are not installed.
missing_debs() {
    local installed package
    # shellcheck disable=SC2016  # dpkg-query's own variables
    installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null | sed -n 's/^.i //p') || true
    for package; do
        grep -qxF -e "$package" <<<"$installed" || printf '%s\n' "$package"
    done
}

can_be_root() { [ "$(id -u)" = 0 ] || { have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }; }

apt() {
    local command=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@")
    [ "$(id -u)" = 0 ] || command=(sudo "${command[@]}")
    "${command[@]}" >>.vigia/apt.log 2>&1
}

install_debs() {
    say "installing with apt-get (log: .vigia/apt.log): $*"
    : >.vigia/apt.log
    # A package list that cannot be fetched may be one that is not needed here: installing decides.
    apt update || say "'apt-get update' reported errors"
    apt install -y --no-install-recommends "$@" || {
        tail -n 20 .vigia/apt.log >&2
        die "apt-get could not install: $*"
    }
}

# What tests use, where it is not there: scripts/contract.py makes a virtual environment, as install_moto does. Of
# PostgreSQL they use the programs, for servers of their own; whatever server the system runs is left alone.
missing_test_debs() {
    missing_debs "${test_packages[@]}"
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

# Debian's package would make a server and start it on the port that everybody takes.
without_postgresql_server() {
    local config=/etc/postgresql-common/createcluster.d as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" mkdir -p $config
    echo 'create_main_cluster = false' | "${as_root[@]}" tee $config/vigia.conf >/dev/null
}

# What setup needs of the system beyond GStreamer, where it is not there.
missing_tools() {
    have cc || printf '%s\n' gcc libc6-dev
    have pkg-config || printf '%s\n' pkg-config
    have python3 || printf '%s\n' python3
    if needs_onnxruntime && ! pip_python >/dev/null; then printf '%s\n' python3-pip; fi
    if needs_models && ! have npm; then printf '%s\n' nodejs npm; fi
}

install_packages() {
    local missing extra=()
    mapfile -t missing < <(
        missing_tools
        missing_debs "${packages[@]}"
    )
    if [ -n "${VIGIA_SETUP_TESTS:-}" ]; then
        mapfile -t extra < <(missing_test_debs)
    fi
    if [ $((${#missing[@]} + ${#extra[@]})) -gt 0 ]; then
        if have apt-get && can_be_root; then
            if [[ " ${extra[*]} " == *" postgresql "* ]]; then without_postgresql_server; fi
            install_debs "${missing[@]}" "${extra[@]}"
        elif [ ${#missing[@]} -gt 0 ]; then
            die "these packages are missing, and installing them needs apt-get and root or sudo. As root:" \
                "  apt-get install --no-install-recommends ${missing[*]} ${extra[*]}"
        else
            say "missing, but only some tests need them: ${extra[*]}"
        fi
    fi
}

# Where there is no dpkg: is what the packages bring there?
check_system() {
    local missing module element
    mapfile -t missing < <(
        for tool in cc pkg-config python3; do have "$tool" || printf '%s\n' "$tool"; done
        if needs_onnxruntime && ! pip_python >/dev/null; then echo pip; fi
        if needs_models && ! have npm; then echo npm; fi
        for module in gstreamer-1.0 gstreamer-app-1.0 gstreamer-video-1.0 gstreamer-rtsp-server-1.0 libturbojpeg; do
            pkg-config --exists "$module" 2>/dev/null || printf '%s.pc\n' "$module"
        done
        for element in rtspsrc souphttpsrc qtdemux h264parse avdec_h264; do
            ! have gst-inspect-1.0 || gst-inspect-1.0 --exists "$element" || printf 'GStreamer element %s\n' "$element"
        done
    )
    [ ${#missing[@]} = 0 ] || die "there is no apt-get here, and these are missing:" "${missing[@]/#/  }" \
        "The packages that hold them:" \
        "  Debian:   ${packages[*]}" \
        "  Fedora:   gcc pkgconf-pkg-config gstreamer1-devel gstreamer1-plugins-base-devel gstreamer1-rtsp-server-devel" \
        "            turbojpeg-devel gstreamer1-plugins-good gstreamer1-plugins-bad-free gstreamer1-plugin-libav python3-pip npm" \
        "  Arch:     gcc pkgconf gstreamer gst-plugins-base gst-plugins-good gst-plugins-bad gst-libav" \
        "            gst-rtsp-server libjpeg-turbo python-pip npm" \
        "  Homebrew: pkgconf gstreamer jpeg-turbo python node"
}

check_gstreamer() {
    pkg-config --atleast-version="$gstreamer" gstreamer-1.0 ||
        die "GStreamer $(pkg-config --modversion gstreamer-1.0) is too old, vigia needs $gstreamer or newer (Debian 12, Ubuntu 23.04)"
}

# --- ONNX Runtime: its shared library, from the pinned wheel --------------------------------------------------------

library=.vigia/lib/libonnxruntime.so
library_stamp=.vigia/lib/onnxruntime.stamp

onnxruntime_version() { sed -n 's/^onnxruntime==\([0-9.]*\).*/\1/p' scripts/onnxruntime.txt; }
rust_host() { rustc -vV | sed -n 's/^host: //p'; }
onnxruntime_wanted() { printf '%s %s\n' "$(onnxruntime_version)" "$(rust_host)"; }

# No, where the user brings a library.
needs_onnxruntime() {
    ! [ -e "${ORT_DYLIB_PATH:-}" ] &&
        { ! [ -s $library ] || [ "$(cat $library_stamp 2>/dev/null)" != "$(onnxruntime_wanted)" ]; }
}

# A Python that has pip: Debian's, where the first one on the PATH has none.
pip_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            printf '%s\n' "$python"
            return
        fi
    done
    return 1
}

install_onnxruntime() {
    local host arch python
    host=$(rust_host)
    case $host in
        x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) arch=${host%%-*} ;;
        *) die "no ONNX Runtime is pinned for $host: set ORT_DYLIB_PATH to its shared library and run this again" ;;
    esac
    say "downloading ONNX Runtime $(onnxruntime_version) with pip (about 25 MB)"
    python=$(pip_python) || die "no python3 with pip was found: install pip ('python3 -m pip' must run)"
    # 'download' installs nothing, so a Python that its system manages is left alone.
    PIP_REQUIRE_VIRTUALENV=false "$python" -m pip --quiet --disable-pip-version-check --no-input download \
        --require-hashes -r scripts/onnxruntime.txt --no-deps --only-binary=:all: \
        --implementation cp --python-version 3.12 --abi cp312 --platform "manylinux_2_28_$arch" --dest "$tmp/wheel" ||
        die "ONNX Runtime was not installed: pip did not get the wheel that scripts/onnxruntime.txt pins (its message is above)"
    "$python" - "$tmp"/wheel/*.whl "$tmp/libonnxruntime.so" <<'PYTHON'
import shutil
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    (name,) = [n for n in wheel.namelist() if n.startswith("onnxruntime/capi/libonnxruntime.so.")]
    with wheel.open(name) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target)
PYTHON
    mkdir -p .vigia/lib
    rm -f $library_stamp
    mv -f "$tmp/libonnxruntime.so" $library
    onnxruntime_wanted >$library_stamp
}

# --- the default models: from the pinned npm package, converted by vigia itself ------------------------------------

models_stamp=.vigia/models/.stamp
face_api=.vigia/npm/node_modules/@vladmandic/face-api

# Changes with the package and with the code that converts it.
models_wanted() {
    {
        cat scripts/models/package-lock.json
        find vigia-infer/src -type f \( -path '*/import*' -o -path '*/onnx*' -o -path '*/manifest*' \) -print0 |
            LC_ALL=C sort -z | xargs -0 cat
    } | cksum
}

needs_models() {
    ! compgen -G '.vigia/models/*.onnx' >/dev/null || ! compgen -G '.vigia/samples/*.jpg' >/dev/null ||
        [ "$(cat $models_stamp 2>/dev/null)" != "$(models_wanted)" ]
}

install_face_api() {
    say "downloading the default models with npm"
    mkdir "$tmp/npm"
    cp scripts/models/package.json scripts/models/package-lock.json scripts/models/.npmrc "$tmp/npm/"
    (cd "$tmp/npm" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null) ||
        die "the default models were not installed: npm did not get what scripts/models/package-lock.json pins (its message is above)"
    rm -rf .vigia/npm
    mv "$tmp/npm" .vigia/npm
}

install_models() {
    if ! [ -d $face_api ] || ! cmp -s scripts/models/package-lock.json .vigia/npm/package-lock.json; then
        install_face_api
    fi
    say "converting the default models (this builds vigia with the $profile profile)"
    rm -f $models_stamp
    cargo run --profile "$profile" -p vigia -- models import $face_api --out .vigia/models ||
        die "the default models were not converted (the message is above)"
    mkdir -p .vigia/samples
    cp $face_api/demo/sample*.jpg .vigia/samples/
    models_wanted >$models_stamp
}

# --- moto: speaks as S3 does, for tests -----------------------------------------------------------------------------

moto_pins=scripts/moto/requirements.txt
moto_stamp=.vigia/moto/requirements.txt

needs_moto() { [ -n "${VIGIA_SETUP_TESTS:-}" ] && ! cmp -s $moto_pins $moto_stamp; }

# As where packages cannot be installed: not without them where tests must run, and else only said.
no_moto() {
    rm -rf .vigia/moto
    [ -z "${VIGIA_TESTS_MUST_RUN:-}" ] || die "$1"
    say "$1; only some tests need it"
}

install_moto() {
    say "installing moto with pip into .vigia/moto (about 30 MB)"
    rm -rf .vigia/moto
    python3 -m venv .vigia/moto || {
        no_moto "moto was not installed: python3 makes no virtual environment: install its module venv (Debian: python3-venv)"
        return
    }
    .vigia/moto/bin/python -m pip --quiet --disable-pip-version-check --no-input install \
        --require-hashes --no-deps --only-binary=:all: -r $moto_pins || {
        no_moto "moto was not installed: pip did not get what $moto_pins pins (its message is above)"
        return
    }
    cp $moto_pins $moto_stamp
}

# ---------------------------------------------------------------------------------------------------------------------

mkdir -p .vigia
find .vigia -maxdepth 1 -name 'tmp.*' -mmin +120 -exec rm -rf {} + # of a set-up that was killed
tmp=$(mktemp -d .vigia/tmp.XXXXXX)
trap 'rm -rf "$tmp"' EXIT

check_rust
if have dpkg-query; then install_packages; else check_system; fi
check_gstreamer
if needs_onnxruntime; then install_onnxruntime; fi
if needs_models; then install_models; fi
if needs_moto; then install_moto; fi
if [ -n "$worked" ]; then say "done"; else say "everything is there"; fi
