/* Watching several tasks at once: what gather, wait, completed and cancel have in
 * common. Combine.
 *
 *	an__several_begin(&s, tasks, count, ended);
 *	an__several_claim(&s);         those that consume the handles
 *	an__several_watch(&s);         ended() is called for each, now or later
 *	...
 *	an__several_end(&s);
 *
 * A task may end and be freed as soon as it was watched, by whoever has its handle, so
 * what is wanted of it is noted when it ends; only claimed ones may be looked at later.
 */
#ifndef AN_LOOP_COMBINE_SEVERAL_H
#define AN_LOOP_COMBINE_SEVERAL_H

#include "loop/core/loop.h"
#include "loop/core/wait.h"

/* So many need no memory of their own. */
#define AN__FEW 16

struct an__several;

/* One task of the list. */
struct an__one {
	an__task_watch watch;
	struct an__several *all;
	an_task *task;	      /* NULL: has been handed to its owner */
	struct an__one *next; /* for the user of this */
	bool ended;
	bool again;  /* claimed by one that stands before it in the list; not watched */
	bool theirs; /* claimed by somebody else; for the user of this */
};

typedef struct an__several {
	struct an__one *ones;
	size_t count;
	size_t running;	   /* that are watched, or will be, and have not ended */
	an__waiter waiter; /* of the task that waits, where that is but one */
	/* On the stack of the task that ended, or in an__several_watch(). */
	void (*ended)(struct an__several *s, struct an__one *one, int result);
	struct an__one few[AN__FEW];
} an__several;

/* For s->waiter. */
extern const an__wait_kind an__for_several;

/* Returns 0; -EDEADLK when the current task is among them; -ENOMEM. */
int an__several_begin(an__several *s, an_task *const *tasks, size_t count,
		      void (*ended)(an__several *s, struct an__one *one, int result));

/* Claims each of them once. Returns 0; -EBUSY, and has claimed none. */
int an__several_claim(an__several *s);

/* Gives up what was claimed and has not been handed out. */
void an__several_unclaim(an__several *s);

/* Has ended() called once for each: at once for those that have ended, in their order,
 * and later for the rest. Their failures count as seen. */
void an__several_watch(an__several *s);

/* Watches no longer and frees the memory. */
void an__several_end(an__several *s);

#endif
