/* Signals, waited for by tasks. */
#ifndef ASYNCNET_SIGNAL_H
#define ASYNCNET_SIGNAL_H

#include <asyncnet/api.h>

AN_BEGIN_DECLS

/* A set of signals that tasks of this loop wait for. */
typedef struct an_signal_watch an_signal_watch;

/* Takes the signals over from their default action until the watch is closed; they are
 * counted, so that one that comes while nobody waits is not missed. `signals` ends with
 * 0. One loop a process may watch signals. While a watch has SIGINT, an_run() leaves it
 * alone. Never suspends.
 * Returns 0; -EINVAL; -EBUSY when another watch has one of them; -ENOMEM;
 * AN_ERR_NO_TASK. */
AN_API int an_signal_watch_new(const int *signals, an_signal_watch **ret);

/* Waits for the next of them. Suspends. Returns the signal's number; -ECANCELED. */
AN_API AN_SUSPENDS int an_signal_wait(an_signal_watch *w);

/* Restores what was before. Accepts NULL, returns NULL. Never suspends. */
AN_API an_signal_watch *an_signal_watch_close(an_signal_watch *w);

AN_END_DECLS

#endif
