"""io.read4k and io.lines with Python's own blocking files. Usage: files_python GAUGE FILE"""
import sys

from measure import Measure


def read4k(name):
    with open(name, "rb", buffering=0) as f:
        count = 0
        while f.read(4096):
            count += 1
    return count


def lines(name):
    with open(name, "rb") as f:
        count = 0
        for _ in f:
            count += 1
    return count


work, passes = {"read4k": (read4k, 20), "lines": (lines, 100)}[sys.argv[1]]
measure = Measure()
for _ in range(passes):
    measure.slice(work(sys.argv[2]))
measure.end()
