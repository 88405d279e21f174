#!/bin/sh
# Runs a test program, under valgrind if it tests what valgrind is wanted for: the layers
# without I/O of their own, where stacks and waiters live. Called by "make check" of a build
# with --enable-valgrind.
program=$1
case $program in
*unit/base/* | *unit/core/* | *unit/sync/* | *unit/combine/*)
    AN_TEST_SLOWNESS=5
    export AN_TEST_SLOWNESS
    exec "$top_builddir/libtool" --mode=execute valgrind --quiet --error-exitcode=99 \
        --leak-check=full --show-leak-kinds=definite,possible \
        --errors-for-leak-kinds=definite,possible --child-silent-after-fork=yes "$@"
    ;;
esac
exec "$@"
