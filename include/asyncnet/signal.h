/* Signals, waited for by tasks. */
#ifndef ASYNCNET_SIGNAL_H
#define ASYNCNET_SIGNAL_H

#include <asyncnet/api.h>

AN_BEGIN_DECLS

/* A set of signals that tasks of this loop wait for. */
typedef struct an_signal_watch an_signal_watch;

/* Takes the signals over from their present action until the watch is closed; they are
 * counted, so that one that comes while nobody waits is not missed. `signals` ends with
 * 0. A signal of the process may come to any of its threads; the watch gets it all the
 * same. A signal has one watch at a time, in whatever loop. While a watch has SIGINT,
 * an_run() leaves it alone. Never suspends; needs the thread's loop, not a task.
 * Returns 0; -EINVAL for an empty set, a number that is none, one twice, or one that
 * cannot be waited for (SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL); -EBUSY when
 * another watch has one of them; -EMFILE, -ENFILE; -ENOMEM; AN_ERR_NO_TASK without a
 * loop. */
AN_API int an_signal_watch_new(const int *signals, an_signal_watch **ret);

/* Waits for the next of them. Several tasks may wait and are served in order. Of
 * signals that came while nobody waited, those first in the set are told first.
 * Suspends unless one has come.
 * Returns the signal's number; -ECANCELED (none was taken); AN_ERR_CLOSED when the
 * watch was closed while the task was parked in it; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_signal_wait(an_signal_watch *w);

/* Restores what was before; signals that nobody has waited for are dropped. Accepts
 * NULL, returns NULL. Never suspends. */
AN_API an_signal_watch *an_signal_watch_close(an_signal_watch *w);

AN_END_DECLS

#endif
