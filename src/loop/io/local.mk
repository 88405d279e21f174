libasyncnet_internal_la_SOURCES += \
	%D%/address.c \
	%D%/connect.c \
	%D%/dns.c \
	%D%/dns.h \
	%D%/file.c \
	%D%/listener.c \
	%D%/offload.c \
	%D%/path.c \
	%D%/signal.c \
	%D%/socket.c \
	%D%/socket.h \
	%D%/stream-private.h \
	%D%/stream-read.c \
	%D%/stream-write.c \
	%D%/stream.c \
	%D%/stream.h \
	%D%/tls-bio.c \
	%D%/tls-private.h \
	%D%/tls-session.c \
	%D%/tls-stream.c \
	%D%/tls.c \
	%D%/workers.c \
	%D%/workers.h
