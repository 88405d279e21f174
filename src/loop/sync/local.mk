libasyncnet_internal_la_SOURCES += \
	%D%/barrier.c \
	%D%/condition.c \
	%D%/event.c \
	%D%/mutex.c \
	%D%/mutex.h \
	%D%/queue.c \
	%D%/rwlock.c \
	%D%/semaphore.c \
	%D%/store.c \
	%D%/store.h \
	%D%/thread-queue.c
