/* How a benchmark program measures itself: CPU time (user and system) of the process, cut
 * into slices.
 *
 * Other load on the machine makes single slices slow, never fast, so the program reports
 * its 25th-percentile slice. It prints one line, the nanoseconds of CPU time an
 * operation, and nothing else on stdout. A gauge of memory prints KiB instead.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MEASURE_SLICES 512

struct measure {
	double slices[MEASURE_SLICES];
	int count;
	double last;
};

static inline double measure_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static inline void measure_begin(struct measure *m)
{
	m->count = 0;
	m->last = measure_cpu();
}

/* Ends a slice in which `operations` were done. */
static inline void measure_slice(struct measure *m, double operations)
{
	double now = measure_cpu();

	if (m->count < MEASURE_SLICES)
		m->slices[m->count++] = (now - m->last) / operations;
	m->last = now;
}

static inline int measure_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Prints the figure. Returns the program's exit code. */
static inline int measure_end(struct measure *m)
{
	if (!m->count)
		return 1;
	qsort(m->slices, (size_t)m->count, sizeof *m->slices, measure_compare);
	printf("%.3f\n", m->slices[m->count / 4]);
	return 0;
}

/* The KiB of memory that the process has in RAM. */
static inline double measure_resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages;

	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		exit(1);
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* For gauges of many connections. */
static inline void measure_many_files(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* The same sequence in every program. */
static inline uint64_t measure_random(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

/* From 10 s to 70 s, in nanoseconds: after the end of any measurement. */
static inline int64_t measure_delay(void)
{
	return INT64_C(10000000000) + (int64_t)(measure_random() % 60000000000);
}

#endif
