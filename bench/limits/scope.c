/* The limit of tasks.scope: two calls that link a deadline into the caller's chain of
 * scopes and take it out. No clock is read. */
#include "bench/measure.h"

#include <stdint.h>

#define SLICES 40
#define SCOPES 250000
#define SCOPE_CALL static __attribute__((noinline))

struct scope {
	struct scope *outer;
	int64_t deadline;
};

static struct scope *innermost;
static int64_t now = 1;

SCOPE_CALL void scope_begin(struct scope *s, int64_t limit)
{
	s->outer = innermost;
	s->deadline = now + limit;
	innermost = s;
}

SCOPE_CALL int scope_end(struct scope *s, int result)
{
	innermost = s->outer;
	return result;
}

int main(void)
{
	static struct measure measure;

	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		for (int j = 0; j < SCOPES; j++) {
			struct scope s;

			scope_begin(&s, 10);
			if (scope_end(&s, 0))
				return 1;
		}
		measure_slice(&measure, SCOPES);
	}
	return measure_end(&measure);
}
