#!/bin/sh
# test-ctx for aarch64: built with a cross compiler and run by qemu's user emulation. Skipped
# where these are not installed.
cc=${AARCH64_CC-aarch64-linux-gnu-gcc}
qemu=${AARCH64_RUN-qemu-aarch64}

if [ "$(uname -m)" = aarch64 ]; then
	echo "1..0 # SKIP native: test-ctx does it"
	exit 0
fi
if ! command -v "$cc" >/dev/null || ! command -v "$qemu" >/dev/null; then
	echo "1..0 # SKIP no $cc or no $qemu"
	exit 0
fi
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
core=$top_srcdir/src/loop/core
"$cc" -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -frounding-math -static -pthread \
	-I"$top_srcdir/tests/support/cross" -I"$top_srcdir/src" -I"$top_srcdir/include" \
	-o "$dir/test-ctx" "$top_srcdir/tests/unit/core/test-ctx.c" \
	"$core/ctx.c" "$core/ctx-aarch64.S" "$core/stack.c" "$core/../base/alloc.c" -lm || {
	echo "Bail out! it does not build for aarch64"
	exit 1
}
# With branch protection the switch must assemble as well.
"$cc" -mbranch-protection=standard -I"$top_srcdir/src" -c -o "$dir/bti.o" \
	"$core/ctx-aarch64.S" || {
	echo "Bail out! it does not build with branch protection"
	exit 1
}
"$qemu" "$dir/test-ctx"
