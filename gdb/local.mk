# For the debugger: sourced by hand, "source gdb/asyncnet-gdb.py".
EXTRA_DIST += %D%/asyncnet-gdb.py
