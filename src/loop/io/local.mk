libasyncnet_internal_la_SOURCES += \
	%D%/offload.c \
	%D%/workers.c \
	%D%/workers.h
