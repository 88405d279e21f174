asyncnetinclude_HEADERS += \
	%D%/api.h \
	%D%/asyncnet.h \
	%D%/combine.h \
	%D%/error.h \
	%D%/fd.h \
	%D%/file.h \
	%D%/http.h \
	%D%/http_client.h \
	%D%/inspect.h \
	%D%/log.h \
	%D%/loop.h \
	%D%/net.h \
	%D%/offload.h \
	%D%/path.h \
	%D%/pg.h \
	%D%/process.h \
	%D%/signal.h \
	%D%/stream.h \
	%D%/sync.h \
	%D%/task.h \
	%D%/testing.h \
	%D%/time.h \
	%D%/tls.h \
	%D%/trace.h \
	%D%/udp.h \
	%D%/ws.h
