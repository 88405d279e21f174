/* The counted allocations that are not worth a place in their callers. See alloc.h. */
#include "loop/base/alloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

__thread size_t an__alloc_countdown;
__thread bool an__alloc_failed;

void an__alloc_arm(size_t nth)
{
	an__alloc_countdown = nth;
	an__alloc_failed = false;
}

bool an__alloc_counted(void)
{
	if (--an__alloc_countdown)
		return false;
	an__alloc_failed = true;
	errno = ENOMEM;
	return true;
}

char *an__asprintf(const char *format, ...)
{
	char *made;
	va_list args;
	int length;

	if (an__alloc_fails())
		return NULL;
	va_start(args, format);
	length = vasprintf(&made, format, args);
	va_end(args);
	return length < 0 ? NULL : made;
}

void *an__aligned(size_t alignment, size_t size)
{
	void *made;

	if (an__alloc_fails() || posix_memalign(&made, alignment, size))
		return NULL;
	return made;
}
