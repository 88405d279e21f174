libasyncnet_internal_la_SOURCES += \
	%D%/ctx.h \
	%D%/group.c \
	%D%/loop-private.h \
	%D%/loop.c \
	%D%/loop.h \
	%D%/post.c \
	%D%/run.c \
	%D%/scope.c \
	%D%/stack.h \
	%D%/task.c \
	%D%/trace.c \
	%D%/trace.h \
	%D%/wait.c \
	%D%/wait.h
