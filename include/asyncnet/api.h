/* What every public header is written with: linkage, and the marks on a declaration.
 *
 * Rules that hold everywhere, and are not repeated at each call:
 *  - A call returns 0 or a count, or a negative code (error.h).
 *  - What it gives is in its last parameters, named ret...; on failure they are
 *    untouched.
 *  - Options may be NULL, and a field that is zero stands for its default.
 *  - free, close, release and detach never suspend, accept NULL, and return NULL, so
 *    that `p = an_x_free(p)` clears the variable.
 *  - Objects belong to the loop of the thread that made them; what may be called from
 *    other threads says so.
 *  - errno is no part of a result, and it is the thread's, not the task's: any call may
 *    change it, and after one that suspended it is what other tasks have left.
 *  - Strings end with a zero, and what has a length need not; lengths count bytes.
 *
 * AN_API       the symbol is exported.
 * AN_SUSPENDS  the call may park the calling task until something happens. It must be
 *              made from a task (else AN_ERR_NO_TASK), its result must be looked at,
 *              and in a cancelled scope it returns -ECANCELED at once without doing
 *              anything. A function without this mark never suspends.
 * AN_PRINTF    printf-like checking of the format.
 */
#ifndef ASYNCNET_API_H
#define ASYNCNET_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
#define AN_BEGIN_DECLS extern "C" {
#define AN_END_DECLS }
#else
#define AN_BEGIN_DECLS
#define AN_END_DECLS
#endif

#define AN_API __attribute__((visibility("default")))
#define AN_SUSPENDS __attribute__((warn_unused_result))
#define AN_PRINTF(format_index, first_arg) \
	__attribute__((format(printf, format_index, first_arg)))

/* Drops a result on purpose: `an_ignore(an_sleep(d));`. A cast to void does not silence
 * the warning that AN_SUSPENDS asks for. */
static inline void an_ignore(long long result)
{
	(void)result;
}

#endif
