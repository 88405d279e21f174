libasyncnet_internal_la_SOURCES += \
	%D%/alloc.c \
	%D%/alloc.h \
	%D%/clock.h \
	%D%/errors.c \
	%D%/heap.c \
	%D%/heap.h \
	%D%/list.h \
	%D%/wheel.c \
	%D%/wheel.h
