/* Where the library's own messages go. L1. For any layer that has something to report and
 * nobody to return it to. */
#ifndef AN_LOOP_CORE_TRACE_H
#define AN_LOOP_CORE_TRACE_H

#include <asyncnet/trace.h>

/* Formats one line, at most 511 bytes, and hands it to the message hook. From any thread
 * and stack; must not be called with a lock held that a logger's sink might want. Needs
 * about 1 KiB of stack beside what the hook takes. Keeps errno. */
void an__trace_message(an_log_level level, const char *format, ...) AN_PRINTF(2, 3);

/* In the child of a fork(). */
void an__trace_forked(void);

#endif
