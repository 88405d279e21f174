libasyncnet_internal_la_SOURCES += \
	%D%/cancel.c \
	%D%/completed.c \
	%D%/gather.c \
	%D%/generator.c \
	%D%/pipeline.c \
	%D%/select.c \
	%D%/several.c \
	%D%/several.h \
	%D%/wait.c
