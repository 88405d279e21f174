libasyncnet_internal_la_SOURCES += \
	%D%/clock.h \
	%D%/errors.c \
	%D%/heap.c \
	%D%/heap.h \
	%D%/list.h
