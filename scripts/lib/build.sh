# Sourced by the commands in scripts/: brings build/ of this tree up to date.

# build_tree [CONFIGURE OPTIONS]: sets up, and configures and makes in build/. Configures again
# only when the options or configure itself changed.
build_tree() {
    scripts/setup
    if [ ! -x configure ] || [ configure.ac -nt configure ]; then
        ./autogen.sh >/dev/null 2>autogen.log || {
            cat autogen.log >&2
            return 1
        }
        rm -f autogen.log
    fi
    mkdir -p build
    if [ ! -f build/Makefile ] || [ "$*" != "$(cat build/options 2>/dev/null)" ]; then
        (cd build && ../configure -q "$@") || return 1
        echo "$*" >build/options
    fi
    make -s -C build -j"$(nproc)"
}
