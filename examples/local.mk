# Examples: built by make, run as examples/NAME.

noinst_PROGRAMS += examples/downloader
examples_downloader_SOURCES = \
	%D%/downloader.c \
	%D%/downloader.h \
	%D%/downloader-fetch.c \
	%D%/downloader-file.c \
	%D%/downloader-progress.c
examples_downloader_LDADD = libasyncnet.la $(OPENSSL_LIBS)

noinst_PROGRAMS += examples/ws_echo
examples_ws_echo_SOURCES = %D%/ws_echo.c
examples_ws_echo_LDADD = libasyncnet.la
