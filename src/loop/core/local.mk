libasyncnet_internal_la_SOURCES += \
	%D%/trace.c
