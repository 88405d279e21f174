/* tasks.scope: a timeout that is opened and closed around nothing. */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define SLICES 40
#define SCOPES 250000

static int bench(void *arg)
{
	static struct measure measure;

	(void)arg;
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		for (int j = 0; j < SCOPES; j++) {
			an_timeout t;
			int r;

			an_timeout_begin(&t, 10 * AN_SECOND);
			r = an_timeout_end(&t, 0);
			if (r < 0)
				return r;
		}
		measure_slice(&measure, SCOPES);
	}
	return measure_end(&measure);
}

int main(void)
{
	return an_run(bench, NULL, NULL) ? 1 : 0;
}
