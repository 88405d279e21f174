# Message parser and body codecs (sans-I/O).
libasyncnet_internal_la_SOURCES += \
	%D%/body.h \
	%D%/headers.h \
	%D%/parse.h

# Client.
libasyncnet_internal_la_SOURCES += \
	%D%/redirect.c \
	%D%/redirect.h \
	%D%/url.c \
	%D%/url.h
