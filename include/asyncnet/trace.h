/* What the library tells about itself: hooks for those who want to listen.
 *
 * The core cannot know of a logger that is built on it, so it calls the hooks of this
 * table. A logger puts itself there with an_log_install_trace(); a program may use
 * functions of its own. Without hooks, messages of AN_LOG_WARN and above go to stderr,
 * one line each.
 */
#ifndef ASYNCNET_TRACE_H
#define ASYNCNET_TRACE_H

#include <asyncnet/api.h>

AN_BEGIN_DECLS

/* How grave a message is. As an option, 0 stands for the default, AN_LOG_INFO. */
typedef enum an_log_level {
	AN_LOG_TRACE = 1, /* the steps of one operation */
	AN_LOG_DEBUG,	  /* what helps while developing */
	AN_LOG_INFO,	  /* what an operator wants to know in normal times */
	AN_LOG_WARN,	  /* unexpected, and dealt with */
	AN_LOG_ERROR,	  /* an operation failed */
	AN_LOG_FATAL,	  /* the program cannot go on */
	AN_LOG_OFF,	  /* as a limit: nothing at all */
} an_log_level;

/* NULL hooks are not called. They are called on whatever thread and stack the event
 * happened on, a loop's own stack included: they must not suspend, and should be quick.
 * All of a program's hook calls happen one after another. */
typedef struct an_trace_hooks {
	/* The library complains or reports, for instance of a failed task that nobody
	 * joined. `text` is one line without its newline, `len` bytes and a NUL; borrowed
	 * for the call. */
	void (*message)(void *arg, an_log_level level, const char *text, size_t len);
	void *arg; /* handed to each hook; borrowed until the table is replaced */
} an_trace_hooks;

/* Replaces the hooks of the process; the table is copied. NULL: the default. When it
 * returns, no call of the former hooks is running any more, so that what their `arg`
 * points to can be freed. May be called from any thread. Never suspends; it blocks for as
 * long as a hook call takes. Returns 0; AN_ERR_MISUSE when called from a hook. */
AN_API int an_trace_set_hooks(const an_trace_hooks *hooks);

/* Takes the hooks away if they are those with this `arg`; otherwise does nothing. For an
 * owner that goes and does not know whether it was replaced. Same guarantee and returns
 * as above. */
AN_API int an_trace_clear_hooks(const void *arg);

AN_END_DECLS

#endif
