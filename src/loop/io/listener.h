/* What an_serve() needs of a listener that another task may close meanwhile. L3. */
#ifndef AN_LOOP_IO_LISTENER_H
#define AN_LOOP_IO_LISTENER_H

#include "loop/core/wait.h"

#include <asyncnet/net.h>

/* Between these two the struct outlives its close; an_accept() says AN_ERR_CLOSED. */
void an__listener_hold(an_listener *l);
void an__listener_release(an_listener *l);

/* Parks until somebody wakes *w, or the listener is closed. Suspends. Returns the waker's
 * result; AN_ERR_CLOSED; -ECANCELED. */
int an__listener_wait(an_listener *l, an__waiter *w, const an__wait_kind *kind);

#endif
