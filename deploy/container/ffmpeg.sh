#!/bin/sh
# Builds FFmpeg's video decoders, and nothing else of it, from Debian's own source.
#
#   ffmpeg.sh TARGET     puts the libraries, their licence and a record for scanners into this folder
#
# Debian's package of FFmpeg brings 150 MB of libraries that no decoder needs (encoders, a speech recogniser, voices),
# and is under the GPL for some of them. These libraries have the same ABI, are under the LGPL, and take 7 MB.
set -eu

target=$1
architecture=$(uname -m)
decoders=h264,hevc,mjpeg,mpeg1video,mpeg2video,mpeg4,h263,h263p,flv,msmpeg4v1,msmpeg4v2,msmpeg4v3,wmv1,wmv2,wmv3,vc1
decoders=$decoders,vp6,vp6f,vp8,vp9,prores,dnxhd,dvvideo,ffv1,huffyuv,ffvhuff,rawvideo,svq3,cinepak,msvideo1

# Where Debian's packages come from, so do their sources.
sed -i 's/^Types: deb$/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources
apt-get update -q
apt-get install -q -y --no-install-recommends gcc libc6-dev make nasm pkg-config dpkg-dev
work=$(mktemp -d)
cd "$work"
# As root, apt would warn that its own user cannot write here.
apt-get source -q -o APT::Sandbox::User=root ffmpeg
cd ffmpeg-*/
version=$(dpkg-parsechangelog -S Version)

./configure --prefix=/usr --libdir="/usr/lib/$architecture-linux-gnu" --toolchain=hardened \
    --disable-everything --disable-autodetect --disable-programs --disable-doc --disable-network \
    --disable-static --enable-shared --enable-decoder="$decoders"
make -j"$(nproc)"
make install-libs DESTDIR="$target"
find "$target" -name 'lib*.so' -delete # what only a linker wants

mkdir -p "$target/usr/share/doc/ffmpeg" "$target/var/lib/dpkg/status.d"
cp debian/copyright COPYING.LGPLv2.1 "$target/usr/share/doc/ffmpeg/"
cat >"$target/var/lib/dpkg/status.d/ffmpeg" <<RECORD
Package: ffmpeg
Status: install ok installed
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: vigia
Description: video decoders of FFmpeg, built for vigia from Debian's source
RECORD
rm -rf "$work"
