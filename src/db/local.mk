libasyncnet_internal_la_SOURCES += \
	%D%/backoff.c \
	%D%/clean.c \
	%D%/conn.c \
	%D%/conn.h \
	%D%/connect.c \
	%D%/error.c \
	%D%/error.h \
	%D%/listen.c \
	%D%/param.c \
	%D%/param.h \
	%D%/pool.c \
	%D%/pool.h \
	%D%/query.c \
	%D%/result.c \
	%D%/result.h \
	%D%/settings.c \
	%D%/settings.h \
	%D%/statements.c \
	%D%/statements.h \
	%D%/tx.c
