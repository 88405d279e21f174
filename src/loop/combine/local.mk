libasyncnet_internal_la_SOURCES += \
	%D%/gather.c \
	%D%/several.c \
	%D%/several.h \
	%D%/wait.c
