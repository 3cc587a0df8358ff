#!/bin/sh
# Collects what the container needs of Debian's packages, file by file: the packages themselves depend on far more
# than these files do.
#
#   collect.sh LIST BEFORE OWN TARGET
#
# LIST names GStreamer plug-ins. BEFORE is what `dpkg-query -W` said of the base, whose files are in every image that is
# built on it; OWN holds files that go into the image by themselves. TARGET gets the plug-ins, the libraries that they
# need, the licences, and for each package a record in /var/lib/dpkg/status.d, where scanners of images look for
# packages that dpkg did not install.
set -eu

list=$1 before=$2 own=$3 target=$4
libraries=/usr/lib/$(uname -m)-linux-gnu

# What is opened at run time and so is in no list of needed libraries: soup's library, TLS for GLib, the process that
# looks at plug-ins, and what vigia itself needs: libjpeg-turbo, and GStreamer's RTSP server for `vigia bench streams`.
wanted="$libraries/libsoup-3.0.so.0 $libraries/gio/modules/libgiognutls.so $libraries/libturbojpeg.so.0
    $libraries/libgstrtspserver-1.0.so.0
    $libraries/gstreamer1.0/gstreamer-1.0/gst-plugin-scanner"
while read -r name _; do
    case $name in '' | '#'*) continue ;; esac
    wanted="$wanted $libraries/gstreamer-1.0/lib$name.so"
done <"$list"

# The package that a file belongs to, with its version; nothing for a file of no package.
package_of() {
    # Packages know files under / or under /usr, whichever they were built with.
    owner=$(dpkg -S "$1" 2>/dev/null || dpkg -S "${1#/usr}" 2>/dev/null) || return 0
    owner=${owner%%: *}
    # shellcheck disable=SC2016  # dpkg-query's own variables
    dpkg-query -W -f '${binary:Package}\t${Version}\n' "$owner"
}

# The same folders without links in them: /lib is a link to /usr/lib.
real_folder() { printf '%s/%s\n' "$(readlink -f "$(dirname "$1")")" "$(basename "$1")"; }

for file in $wanted; do
    [ -e "$file" ] || { echo "collect: $file is not there" >&2; exit 1; }
    echo "$file"
    needed=$(ldd "$file")
    ! printf '%s\n' "$needed" | grep 'not found' >&2 || { echo "collect: needed by $file" >&2; exit 1; }
    printf '%s\n' "$needed" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p'
done >/tmp/files

: >/tmp/packages
sort -u /tmp/files >/tmp/sorted
while read -r file; do
    link=$(real_folder "$file")
    file=$(readlink -f "$file")
    ! [ -e "$own$file" ] || continue
    package=$(package_of "$file")
    [ -n "$package" ] || { echo "collect: $file belongs to no package" >&2; exit 1; }
    ! grep -qxF -e "$package" "$before" || continue
    mkdir -p "$target$(dirname "$file")" "$target$(dirname "$link")"
    cp -p "$file" "$target$file"
    [ "$link" = "$file" ] || ln -sf "$(basename "$file")" "$target$link"
    printf '%s\n' "$package" >>/tmp/packages
done </tmp/sorted

mkdir -p "$target/var/lib/dpkg/status.d"
cut -f 1 /tmp/packages | sort -u >/tmp/sorted
while read -r package; do
    name=${package%%:*}
    dpkg-query -s "$package" | sed "s/^Status: .*/Status: install ok installed/" >"$target/var/lib/dpkg/status.d/$name"
    licence=/usr/share/doc/$name/copyright
    [ -e "$licence" ] || { echo "collect: $package has no $licence" >&2; exit 1; }
    mkdir -p "$target$(dirname "$licence")"
    cp -pL "$licence" "$target$licence"
done </tmp/sorted

# Certificate authorities, and the list of GLib's modules.
mkdir -p "$target/etc/ssl/certs" "$target/usr/share/doc/ca-certificates"
cp /etc/ssl/certs/ca-certificates.crt "$target/etc/ssl/certs/"
cp /usr/share/doc/ca-certificates/copyright "$target/usr/share/doc/ca-certificates/"
"$libraries/glib-2.0/gio-querymodules" "$target$libraries/gio/modules"
echo "collect: $(wc -l </tmp/packages) files of $(cut -f 1 /tmp/packages | sort -u | wc -l) packages," \
    "$(du -sh "$target" | cut -f 1)"
