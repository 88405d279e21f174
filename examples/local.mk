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

# The notes service, and a client that checks it. The page is compiled in.
if HAVE_JANSSON
noinst_PROGRAMS += examples/microservice examples/notes_client
examples_microservice_SOURCES = \
	%D%/notes/feed.c \
	%D%/notes/main.c \
	%D%/notes/notes.c \
	%D%/notes/service.h \
	%D%/notes/status.c
nodist_examples_microservice_SOURCES = examples/notes/page.h
examples_microservice_CPPFLAGS = \
	$(AM_CPPFLAGS) -I$(srcdir)/%D%/notes -I$(builddir)/examples/notes $(JANSSON_CFLAGS)
examples_microservice_LDADD = libasyncnet.la $(JANSSON_LIBS)
examples_notes_client_SOURCES = %D%/notes/client.c
examples_notes_client_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
examples_notes_client_LDADD = libasyncnet.la $(JANSSON_LIBS) $(OPENSSL_LIBS)
endif

examples/notes/page.h: $(srcdir)/%D%/notes/page.html
	$(AM_V_GEN)$(MKDIR_P) examples/notes && { \
		echo '/* Made from page.html. */'; \
		echo 'static const char page_html[] ='; \
		sed -e 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$$/\\n"/' \
			$(srcdir)/%D%/notes/page.html; \
		echo ';'; } >$@.new && mv $@.new $@
examples/notes/microservice-status.$(OBJEXT): examples/notes/page.h
CLEANFILES += examples/notes/page.h
EXTRA_DIST += %D%/README.md %D%/demo.sh %D%/notes/page.html

noinst_PROGRAMS += examples/http_echo
examples_http_echo_SOURCES = %D%/http_echo.c
examples_http_echo_LDADD = libasyncnet.la

# The tours: three programs, a file for each chapter.
noinst_PROGRAMS += examples/tour_core examples/tour_io examples/tour_sync
examples_tour_core_SOURCES = \
	%D%/tour.c \
	%D%/tour.h \
	%D%/tour_core.c \
	%D%/tour_core_blocking.c \
	%D%/tour_core_limits.c \
	%D%/tour_core_tasks.c \
	%D%/tour_core_together.c
examples_tour_core_LDADD = libasyncnet.la
examples_tour_io_SOURCES = \
	%D%/tour.c \
	%D%/tour.h \
	%D%/tour_io.c \
	%D%/tour_io.h \
	%D%/tour_io_db.c \
	%D%/tour_io_download.c \
	%D%/tour_io_files.c \
	%D%/tour_io_http.c \
	%D%/tour_io_log.c \
	%D%/tour_io_pipeline.c \
	%D%/tour_io_process.c \
	%D%/tour_io_site.c \
	%D%/tour_io_streams.c \
	%D%/tour_io_ws.c
examples_tour_io_LDADD = libasyncnet.la
examples_tour_sync_SOURCES = \
	%D%/tour.c \
	%D%/tour.h \
	%D%/tour_sync.c \
	%D%/tour_sync_pool.c \
	%D%/tour_sync_queue.c
examples_tour_sync_LDADD = libasyncnet.la
