/* What the library reports, for tests that look at it:
 *
 *	messages_begin();
 *	...
 *	assert_int_equal(messages_with("failed and nobody joined it"), 1);
 *	messages_end();
 */
#ifndef TESTS_SUPPORT_MESSAGES_H
#define TESTS_SUPPORT_MESSAGES_H

#include <asyncnet/trace.h>
#include <stdio.h>
#include <string.h>

static char an__test_messages[64][256];
static size_t an__test_message_count;

static inline void an__test_note(void *arg, an_log_level level, const char *text,
				 size_t len)
{
	(void)arg;
	(void)len;
	if (level >= AN_LOG_WARN && an__test_message_count < 64)
		snprintf(an__test_messages[an__test_message_count++], 256, "%s", text);
}

static inline void messages_begin(void)
{
	an__test_message_count = 0;
	an_trace_set_hooks(&(an_trace_hooks){ .message = an__test_note });
}

static inline void messages_end(void)
{
	an_trace_set_hooks(NULL);
}

/* How many of the messages since the begin have this in them. */
static inline size_t messages_with(const char *part)
{
	size_t n = 0;

	for (size_t i = 0; i < an__test_message_count; i++)
		n += strstr(an__test_messages[i], part) != NULL;
	return n;
}

#endif
