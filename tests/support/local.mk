# What test programs share. Built for "make check" alone.
check_LTLIBRARIES += libtest-support.la
libtest_support_la_SOURCES = \
	%D%/certs.c \
	%D%/certs.h \
	%D%/child.h \
	%D%/faults.h %D%/file-faults.h \
	%D%/libevent-memory.h \
	%D%/messages.h \
	%D%/pairs.h \
	%D%/program.h \
	%D%/run.h
libtest_support_la_CFLAGS = $(AN_CFLAGS)
EXTRA_DIST += %D%/nginx.sh %D%/run-program.sh %D%/ws-peer.py %D%/under-valgrind.sh
