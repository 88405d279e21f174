/* Guards: pages below a stack that no access survives. L1.
 *
 * By MADV_GUARD_INSTALL (Linux 6.13), which costs no map of its own, or else by mprotect,
 * which splits one: vm.max_map_count (65,530 by default) then bounds all stacks of the
 * process to some 30,000.
 */
#ifndef AN_LOOP_CORE_GUARD_H
#define AN_LOOP_CORE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* How guards are to be made from now on. */
bool an__guard_by_mprotect(void);

/* For tests: by mprotect from now on, as on a kernel before 6.13. */
void an__guard_force_mprotect(bool force);

/* Makes [start, start + bytes), whole pages, inaccessible. Any thread.
 * Returns 0; -ENOMEM when memory or maps run out; maps do so for mprotect while some are
 * left to the rest of the process. */
int an__guard_install(bool by_mprotect, void *start, size_t bytes);

/* `count` guards have been unmapped. */
void an__guard_unmapped(bool by_mprotect, size_t count);

/* How many guards by mprotect the process may have at once. */
size_t an__guard_limit(void);

#endif
