#!/bin/sh
# Makes configure and the Makefile templates; needed after a clone.
set -e
cd "$(dirname "$0")"
mkdir -p m4
autoreconf --install --warnings=all
