/* Durations and the loop's clock. */
#ifndef ASYNCNET_TIME_H
#define ASYNCNET_TIME_H

#include <asyncnet/api.h>

AN_BEGIN_DECLS

/* A span of time, or a point on the loop's clock, in nanoseconds. */
typedef int64_t an_duration;

#define AN_NANOSECOND ((an_duration)1)
#define AN_MICROSECOND (1000 * AN_NANOSECOND)
#define AN_MILLISECOND (1000 * AN_MICROSECOND)
#define AN_SECOND (1000 * AN_MILLISECOND)
#define AN_MINUTE (60 * AN_SECOND)
#define AN_HOUR (60 * AN_MINUTE)

/* As a limit: none. As a point in time: never. */
#define AN_FOREVER INT64_MAX

/* The time on the current loop's clock. Monotonic, from an arbitrary start; read once per
 * turn of the loop, so that all that happens in one turn agrees on it. Never suspends.
 * Outside a loop: the system's monotonic clock. */
AN_API an_duration an_now(void);

/* Reads the clock again in mid-turn and returns it: for a task that has computed for long
 * and now opens a timeout. Never suspends. */
AN_API an_duration an_now_update(void);

AN_END_DECLS

#endif
