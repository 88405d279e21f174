/* The hook table. L1.
 *
 * Invariant: a hook is called with the lock held, so replacing the table waits for calls
 * that are under way. A message that arises inside a hook of the same thread cannot take
 * the lock; it goes to stderr, which also ends any feedback between a logger's failure
 * and its report.
 */
#include "loop/core/trace.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const an_trace_hooks none;
static an_trace_hooks table;
static bool changing; /* under the lock: the table is half written */
static _Thread_local bool inside;

static void to_stderr(an_log_level level, char *text, size_t len)
{
	if (level < AN_LOG_WARN)
		return;
	/* One write for the line, so that lines of several threads stay whole. */
	text[len] = '\n';
	ssize_t n = write(STDERR_FILENO, text, len + 1);
	(void)n;
	text[len] = '\0';
}

void an__trace_message(an_log_level level, const char *format, ...)
{
	int saved = errno;
	char text[512];
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	size_t len = n < 0 ? 0 : (size_t)n;
	if (len >= sizeof text)
		len = sizeof text - 1;

	if (inside) {
		to_stderr(level, text, len);
		errno = saved;
		return;
	}
	pthread_mutex_lock(&lock);
	inside = true;
	if (table.message)
		table.message(table.arg, level, text, len);
	else
		to_stderr(level, text, len);
	inside = false;
	pthread_mutex_unlock(&lock);
	errno = saved;
}

/* Under the lock. */
static void replace(const an_trace_hooks *hooks)
{
	changing = true;
	atomic_signal_fence(memory_order_seq_cst);
	table = *hooks;
	atomic_signal_fence(memory_order_seq_cst);
	changing = false;
}

int an_trace_set_hooks(const an_trace_hooks *hooks)
{
	if (inside)
		return AN_ERR_MISUSE;
	pthread_mutex_lock(&lock);
	replace(hooks ? hooks : &none);
	pthread_mutex_unlock(&lock);
	return 0;
}

int an_trace_clear_hooks(const void *arg)
{
	if (inside)
		return AN_ERR_MISUSE;
	pthread_mutex_lock(&lock);
	if (table.arg == arg)
		replace(&none);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* The lock may have been another thread's, who is not here. One that this thread holds,
 * as the fork was called from a hook, it will let go by itself. */
void an__trace_forked(void)
{
	if (inside)
		return;
	pthread_mutex_init(&lock, NULL);
	if (changing)
		replace(&none);
}
