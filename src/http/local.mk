# Message parser and body codecs (sans-I/O).
libasyncnet_internal_la_SOURCES += \
	%D%/body.c \
	%D%/body.h \
	%D%/fields.c \
	%D%/fields.h \
	%D%/headers.c \
	%D%/headers.h \
	%D%/parse.c \
	%D%/parse.h \
	%D%/query.c \
	%D%/router.c \
	%D%/router.h \
	%D%/scan.h \
	%D%/status.c \
	%D%/write.c \
	%D%/write.h

# Server.
libasyncnet_internal_la_SOURCES += \
	%D%/arena.c \
	%D%/arena.h \
	%D%/exchange-body.c \
	%D%/exchange-respond.c \
	%D%/exchange.c \
	%D%/server-connection.c \
	%D%/server-private.h \
	%D%/server.c

# Client.
libasyncnet_internal_la_SOURCES += \
	%D%/client-private.h \
	%D%/client-request.c \
	%D%/client-response.c \
	%D%/client.c \
	%D%/connpool.c \
	%D%/connpool.h \
	%D%/redirect.c \
	%D%/redirect.h \
	%D%/url.c \
	%D%/url.h
