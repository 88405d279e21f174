/* What the condition needs of the mutex. L2. */
#ifndef AN_LOOP_SYNC_MUTEX_H
#define AN_LOOP_SYNC_MUTEX_H

#include <asyncnet/sync.h>

/* Locks, for as long as it takes, cancelled or not. From a task that does not hold it. */
void an__mutex_lock_uncancellable(an_mutex *m);

#endif
