#!/bin/sh
# Runs a test program, or what is given in front of it, and mends cmocka's TAP: 1.1 says "not ok"
# of a test that was skipped.
exec 3>&1
status=$({ { "$@" 3>&- 4>&-; echo $? >&4; } | sed -u 's/^not ok \([0-9]* # SKIP\)/ok \1/' >&3; } 4>&1)
exit "$status"
