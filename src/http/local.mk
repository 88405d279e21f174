libasyncnet_internal_la_SOURCES += \
	%D%/url.c \
	%D%/url.h
