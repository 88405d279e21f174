libasyncnet_internal_la_SOURCES += \
	%D%/call.c \
	%D%/ctx.c \
	%D%/ctx.h \
	%D%/ctx-aarch64.S \
	%D%/ctx-x86_64.S \
	%D%/debug.c \
	%D%/group.c \
	%D%/guard.c \
	%D%/guard.h \
	%D%/done.c \
	%D%/local.c \
	%D%/loop-private.h \
	%D%/loop.c \
	%D%/loop.h \
	%D%/overflow.c \
	%D%/post.c \
	%D%/run.c \
	%D%/scope.c \
	%D%/stack.c \
	%D%/stack.h \
	%D%/task.c \
	%D%/testing.c \
	%D%/tick.c \
	%D%/trace.c \
	%D%/trace.h \
	%D%/wait.c \
	%D%/wait.h
