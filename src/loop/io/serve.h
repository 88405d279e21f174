/* Accepting connections and running each in a task of its own: what an_serve() and the
 * servers of protocols share. L3.
 *
 * A service says what a connection is: a struct that begins with an an__served, made when
 * it was accepted and unmade when its task has ended. The service may be run on several
 * listeners at once, by one task each; the limit is on all their connections together.
 *
 * Who is where: service.servings has each running an__serve(); serving.connections each
 * connection from its accept to the end of its task.
 */
#ifndef AN_LOOP_IO_SERVE_H
#define AN_LOOP_IO_SERVE_H

#include "loop/base/list.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"

#include <asyncnet/net.h>

struct an__service;

/* One an__serve(). Lies on the stack of its task. */
typedef struct an__serving {
	an__list node;
	struct an__service *service;
	an_listener *listener; /* its struct stays when it is closed */
	an__list connections;
	size_t count;
	an__waiter *for_room; /* of the serving task; NULL: it does not wait for that */
	an__waiters gone;     /* the serving task, when it waits for the last one */
} an__serving;

typedef struct an__served {
	an__list node;
	an__task_watch watch;
	an__serving *serving;
	an_task *task;
} an__served;

typedef struct an__service {
	/* Takes the stream over; NULL without memory, and then the stream is closed by
	 * the caller. */
	an__served *(*make)(struct an__service *s, an_stream *stream);
	an_task_fn run; /* of the connection's task; its argument is the an__served */
	/* Closes the stream and frees the struct. The task may not have begun. */
	void (*unmake)(an__served *c);
	an_serve_opts opts;
	bool owns_listener; /* closes it when it accepts no more */
	size_t count;	    /* connections, of all servings */
	an__list servings;
} an__service;

/* Defaults in s->opts; make, run, unmake are the caller's to set. */
void an__service_init(an__service *s, const an_serve_opts *opts);

/* As an_serve(). Closing the serving's listener stops it. */
AN_SUSPENDS int an__serve(an__service *s, an_listener *l);

#endif
