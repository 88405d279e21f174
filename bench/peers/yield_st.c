/* tasks.yield with State Threads. */
#include "bench/measure.h"

#include <st.h>

#define SLICES 20
#define YIELDS 50000

static void *yields(void *arg)
{
	(void)arg;
	for (int i = 0; i < YIELDS / 2; i++)
		st_usleep(0); /* the packaged version has no st_thread_yield() */
	return NULL;
}

int main(void)
{
	static struct measure measure;

	if (st_init() < 0)
		return 1;
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		st_thread_t a = st_thread_create(yields, NULL, 1, 0);
		st_thread_t b = st_thread_create(yields, NULL, 1, 0);

		st_thread_join(a, NULL);
		st_thread_join(b, NULL);
		measure_slice(&measure, YIELDS);
	}
	return measure_end(&measure);
}
