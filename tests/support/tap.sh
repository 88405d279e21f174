# TAP for the checks of the tree; sourced. Each check is a name and a list of what is wrong,
# which is empty when all is well.
tap_count=0
tap_failed=0

# tap NAME FAULTS
tap() {
    tap_count=$((tap_count + 1))
    if [ -z "$2" ]; then
        echo "ok $tap_count - $1"
    else
        tap_failed=1
        echo "not ok $tap_count - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

# To be called last.
tap_end() {
    echo "1..$tap_count"
    exit $tap_failed
}
