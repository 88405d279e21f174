libasyncnet_internal_la_SOURCES += \
	%D%/client.c \
	%D%/close.c \
	%D%/conn.c \
	%D%/conn.h \
	%D%/engine.c \
	%D%/engine.h \
	%D%/frame.c \
	%D%/frame.h \
	%D%/handshake.c \
	%D%/handshake.h \
	%D%/keepalive.c \
	%D%/random.c \
	%D%/random.h \
	%D%/server.c \
	%D%/session.c \
	%D%/session.h \
	%D%/utf8.c \
	%D%/utf8.h
