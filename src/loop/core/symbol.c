/* The names of functions, without a lock. L1; see frames.h.
 *
 * dladdr() takes the dynamic linker's lock. _dl_find_object() takes none; the symbols
 * that the file exports are then read where they lie in memory.
 */
#include "config.h"

#include "loop/core/frames.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#ifdef DLFO_STRUCT_HAS_EH_DBASE /* glibc 2.35 */

struct table {
	const ElfW(Sym) * symbols;
	const char *strings;
	const uint32_t *hash;
	size_t count;
};

/* The linker has put the load address into most entries, but not into the kernel's. */
static const void *pointer(const struct link_map *map, const ElfW(Dyn) * d)
{
	ElfW(Addr) at = d->d_un.d_ptr;

	return (const void *)(at < map->l_addr ? at + map->l_addr : at);
}

/* The GNU hash table does not say how many symbols there are: the last one ends the chain
 * of the bucket that begins furthest behind. */
static size_t count_symbols(const uint32_t *hash)
{
	uint32_t buckets = hash[0], first = hash[1], words = hash[2], last = 0;
	const uint32_t *bucket = &hash[4] + words * (sizeof(ElfW(Addr)) / 4);
	const uint32_t *chain = bucket + buckets;

	for (uint32_t i = 0; i < buckets; i++)
		if (bucket[i] > last)
			last = bucket[i];
	if (last < first)
		return first;
	while (!(chain[last - first] & 1))
		last++;
	return last + 1;
}

static bool find_table(const struct link_map *map, struct table *ret)
{
	*ret = (struct table){ 0 };
	for (const ElfW(Dyn) *d = map->l_ld; d && d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			ret->symbols = pointer(map, d);
		else if (d->d_tag == DT_STRTAB)
			ret->strings = pointer(map, d);
		else if (d->d_tag == DT_GNU_HASH)
			ret->hash = pointer(map, d);
	}
	if (!ret->symbols || !ret->strings || !ret->hash)
		return false;
	ret->count = count_symbols(ret->hash);
	return true;
}

static const ElfW(Sym) * find_symbol(const struct table *t, size_t address)
{
	for (size_t i = 0; i < t->count; i++) {
		const ElfW(Sym) *s = &t->symbols[i];

		if (s->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(s->st_info) == STT_FUNC &&
		    address - s->st_value < s->st_size)
			return s;
	}
	return NULL;
}

/* Return addresses may lie behind the end of a function whose last act is a call. */
an__symbol an__symbol_at(const void *pc)
{
	an__symbol found = { 0 };
	struct dl_find_object object;
	const struct link_map *map;
	const ElfW(Sym) *symbol = NULL;
	struct table table;
	size_t address;
	const char *slash;

	if (_dl_find_object((char *)(uintptr_t)pc - 1, &object) < 0)
		return found;
	map = object.dlfo_link_map;
	address = (size_t)pc - map->l_addr;
	if (find_table(map, &table))
		symbol = find_symbol(&table, address - 1);
	if (symbol) {
		found.function = table.strings + symbol->st_name;
		found.offset = address - symbol->st_value;
	} else {
		found.offset = address;
	}
	found.file = map->l_name[0] ? map->l_name : program_invocation_name;
	slash = strrchr(found.file, '/');
	if (slash)
		found.file = slash + 1;
	return found;
}

#else

an__symbol an__symbol_at(const void *pc)
{
	(void)pc;
	return (an__symbol){ 0 };
}

#endif
