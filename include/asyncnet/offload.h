/* Blocking work on a bounded pool of threads, awaited by a task. */
#ifndef ASYNCNET_OFFLOAD_H
#define ASYNCNET_OFFLOAD_H

#include <asyncnet/api.h>

AN_BEGIN_DECLS

/* Runs fn(arg) on a worker thread and waits for it. Suspends; when the pool's queue is
 * full it waits for room first.
 *
 * A thread cannot be interrupted, so cancellation needs to know what becomes of `arg`:
 * without `dispose` the call is not cancellable once a worker has begun it, and the
 * caller keeps `arg`. With `dispose`, `arg` is the call's from here on in every case
 * but success: a cancelled call returns -ECANCELED at once, the work runs on, and
 * dispose(arg) is called on the worker after it (or at once on this thread, if the work
 * never began). The loop does not end before such work has, however long that takes;
 * after 5 s it says so through trace.h.
 *
 * A `fn` with `dispose` keeps its errors in `arg` and returns 0 or more: of a negative
 * result the caller could not tell whose it is, and so whose `arg` is.
 *
 * `fn` runs with all signals blocked. It must not call the library, but for an_post().
 *
 * Returns what fn returned (then `arg` is the caller's), or -ECANCELED, -ENOMEM,
 * -EAGAIN (no thread could be started), AN_ERR_NO_TASK: in these cases fn has not run
 * for the caller. A cancellation that comes when fn has returned is too late: its
 * result is returned. */
AN_API AN_SUSPENDS int an_offload(int (*fn)(void *arg), void *arg,
				  void (*dispose)(void *arg));

AN_END_DECLS

#endif
