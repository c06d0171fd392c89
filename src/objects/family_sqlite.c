/*
 * family_sqlite: connections of SQLite, and the statements that each of them has. Input: words that point to a
 * sqlite3_vfs, with which a connection begins.
 *
 * SQLite 3.8 to 3.46: sqlite3.h (sqlite3_vfs: {int iVersion, szOsFile, mxPathname; pNext; zName@24; pAppData;
 * xOpen@40 ...}); sqliteInt.h (struct sqlite3: {pVfs; Vdbe *pVdbe; pDfltColl; mutex; Db *aDb@32; int nDb ...};
 * struct Db: {char *zDbSName; Btree *pBt; ...; Schema *pSchema}, 32 bytes); vdbeInt.h (struct Vdbe: {sqlite3 *db;
 * ppVPrev, or pPrev before 3.41; pNext ...}).
 *
 * Self-check: the first two databases of a connection are called "main" and "temp", and each statement in its
 * list points to it.
 */
#include "block_shares.h"
#include "families.h"

#include <string.h>

enum {
	VFS_NAME = 24,
	VFS_OPEN = 40,
	VFS_VERSION_MAX = 3,
	VFS_FILE_MAX = 1 << 20,
	VFS_PATH_MIN = 16,
	VFS_PATH_MAX = 1 << 20,
	NAME_MAX_BYTES = 64,
};

static bool is_vfs(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	uint64_t sizes, path, name, open;
	if (!lh_symbols_read_number(symbols, ret->addr, &sizes) || !(uint32_t)sizes ||
	    (uint32_t)sizes > VFS_VERSION_MAX || !(sizes >> 32) || sizes >> 32 > VFS_FILE_MAX ||
	    !lh_symbols_read_number(symbols, ret->addr + 8, &path) || (uint32_t)path < VFS_PATH_MIN ||
	    (uint32_t)path > VFS_PATH_MAX || !lh_symbols_read_pointer(symbols, ret->addr + VFS_NAME, &name) ||
	    !lh_object_is_pointer(lh_align_up(name, 8)) ||
	    !lh_symbols_read_pointer(symbols, ret->addr + VFS_OPEN, &open))
		return false;
	return lh_symbols_is_code(symbols, open);
}

enum {
	STATEMENTS = 8,
	COLLATION = 16,
	MUTEX = 24,
	DATABASES = 32,
	DATABASE_COUNT = 40,
	DATABASE_BYTES = 32,
	DATABASES_MAX = 128,
	NEXT_STATEMENT = 16,
	STATEMENTS_MAX = 1 << 20,
};

/* Literals of the library; without its file only that they lie in a module is known. */
static bool is_named(const struct lh_object_view *view, uint64_t database, const char *expected)
{
	uint64_t addr;
	const char *module;
	if (!lh_object_read(view, database, &addr))
		return false;
	const char *name = lh_symbols_read_name(view->symbols, addr, NAME_MAX_BYTES);
	return name ? strcmp(name, expected) == 0 : lh_symbols_module(view->symbols, addr, &module) != NULL;
}

static bool is_connection(const struct lh_object_view *view, uint64_t addr)
{
	uint64_t statements, collation, mutex, databases;
	uint32_t count;
	return lh_object_read(view, addr + STATEMENTS, &statements) && lh_object_is_pointer_or_null(statements) &&
	       lh_object_read(view, addr + COLLATION, &collation) && lh_object_is_pointer_or_null(collation) &&
	       lh_object_read(view, addr + MUTEX, &mutex) && lh_object_is_pointer_or_null(mutex) &&
	       lh_object_read(view, addr + DATABASES, &databases) && lh_object_is_pointer(databases) &&
	       lh_object_read_int(view, addr + DATABASE_COUNT, &count) && count >= 2 && count <= DATABASES_MAX &&
	       is_named(view, databases, "main") && is_named(view, databases + DATABASE_BYTES, "temp");
}

/* The list of statements; a live process may change it meanwhile. */
static struct lh_error *take_statements(struct lh_object_sink *sink, const struct lh_object_view *view, uint64_t addr)
{
	uint64_t at, owner;
	if (!lh_object_read(view, addr + STATEMENTS, &at))
		return NULL;
	for (size_t i = 0; at && i < STATEMENTS_MAX; i++) {
		struct lh_object_claim claim = {.name = "sqlite3_stmt", .addr = at};
		if (!lh_object_is_pointer(at) || !lh_object_read(view, at, &owner) || owner != addr)
			return NULL;
		claim.bytes = lh_block_bytes_of(view, at);
		LH_TRY(lh_object_sink_add(sink, &claim));
		if (!lh_object_read(view, at + NEXT_STATEMENT, &at))
			return NULL;
	}
	return NULL;
}

/* SQLite's own allocator may keep a size of 8 bytes in front (mem1.c). */
static struct lh_error *take_connection(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t addr = view->hit->addr;
	if ((!lh_object_may_begin_at(view, addr) && !lh_object_may_begin_at(view, addr - 8)) ||
	    !is_connection(view, addr))
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "sqlite3", addr);
	LH_TRY(lh_object_sink_add(sink, &claim));
	return claim.is_freed ? NULL : take_statements(sink, view, addr);
}

const struct lh_object_family lh_family_sqlite = {
	.kind = "SQLite",
	.is_table = is_vfs,
	.take = take_connection,
};
