#!/bin/sh
# Builds for aarch64 with Debian's cross compiler and runs the tests of base, core and sync
# under qemu's user emulation:
#
#   scripts/lib/check-aarch64.sh BUILD
#
# The libraries for arm64 are Debian's, unpacked in BUILD/sysroot by an apt that keeps its own
# state there: nothing of the machine changes, and nobody has to be root. AARCH64_SYSROOT names
# a folder that has them already. Exits with 77 when they cannot be fetched.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p "$1"
build=$(cd "$1" && pwd)
sysroot=${AARCH64_SYSROOT-$build/sysroot}
host=aarch64-linux-gnu
packages='libevent-dev libssl-dev libwslay-dev libpq-dev libcmocka-dev'

for tool in $host-gcc qemu-aarch64; do
    command -v $tool >/dev/null || {
        echo "check-aarch64.sh: no $tool: run scripts/setup --ci" >&2
        exit 1
    }
done

apt_arm64() {
    apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -o Acquire::Retries=3 "$@"
}

if [ ! -f "$sysroot/complete" ]; then
    apt=$build/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$sysroot"
    : >"$apt/status"
    # $packages is split on purpose.
    apt_arm64 update &&
        apt_arm64 install -y --no-install-recommends --download-only $packages || {
        echo 'the packages for arm64 cannot be fetched here'
        exit 77
    }
    for deb in "$apt"/archives/*.deb; do
        dpkg-deb -x "$deb" "$sysroot"
    done
    rm -rf "$apt"
    touch "$sysroot/complete"
fi

[ -x configure ] || ./autogen.sh
lib=$sysroot/usr/lib/$host
PKG_CONFIG=pkg-config
PKG_CONFIG_LIBDIR=$lib/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$sysroot
export PKG_CONFIG PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
[ -f "$build/Makefile" ] || (
    top=$(pwd)
    cd "$build"
    "$top/configure" -q --build="$("$top/build-aux/config.guess")" --host=$host \
        --enable-werror \
        CPPFLAGS="-I$sysroot/usr/include -I$sysroot/usr/include/$host" \
        LDFLAGS="-L$lib -Wl,-rpath-link,$lib:$sysroot/lib/$host"
)

# With branch protection the switch must assemble as well.
$host-gcc -mbranch-protection=standard -Isrc -c -o "$build/bti.o" \
    src/loop/core/ctx-aarch64.S

AN_TEST_RUNNER="qemu-aarch64 -L $sysroot"
AN_TEST_SLOWNESS=3
export AN_TEST_RUNNER AN_TEST_SLOWNESS
exec scripts/lib/check.sh "$build" check-core
