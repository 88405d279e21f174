libasyncnet_internal_la_SOURCES += \
	%D%/format.c \
	%D%/format.h \
	%D%/lane.c \
	%D%/line.c \
	%D%/line.h \
	%D%/logger.c \
	%D%/private.h \
	%D%/ring.c \
	%D%/ring.h \
	%D%/sink.c \
	%D%/sink.h \
	%D%/writer.c
