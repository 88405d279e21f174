libasyncnet_internal_la_SOURCES += \
	%D%/address.c \
	%D%/dns.c \
	%D%/dns.h \
	%D%/offload.c \
	%D%/stream-private.h \
	%D%/stream-read.c \
	%D%/stream-write.c \
	%D%/stream.c \
	%D%/stream.h \
	%D%/workers.c \
	%D%/workers.h
