libasyncnet_internal_la_SOURCES += \
	%D%/format.c \
	%D%/lane.c \
	%D%/line.c \
	%D%/logger.c \
	%D%/ring.c \
	%D%/sink.c \
	%D%/writer.c
