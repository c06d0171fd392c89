/*
 * report_redact_hunt: the answers of a hunt without texts of the target, to be sent to others. Input: a concluded hunt,
 * a key. Output: the same hunt, in which texts, details of values, and names of threads and of files that are no
 * modules are keyed hashes of the same length. Types, modules, sizes and addresses stay. Writes no report itself.
 */
#include "leakhunt/hunt.h"
#include "leakhunt/redact.h"
#include "leakhunt/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hunt_redaction {
	struct lh_hunt *hunt;
	const uint8_t *key;
};

/* Equal texts become equal ones. */
static struct lh_error *hash_hunt_text(const struct hunt_redaction *redaction, const char **text)
{
	LH_CLEANUP(lh_cleanup_free) char *copy = *text && **text ? strdup(*text) : NULL;
	if (!*text || !**text)
		return NULL;
	if (!copy)
		return lh_error_no_memory();
	size_t length = strlen(copy);
	lh_replace_text(redaction->key, (uint8_t *)copy, length);
	return lh_strings_pool_add(&redaction->hunt->selection.strings, copy, length, text);
}

/* ---------------------------------------------------------------- what grew */

static struct lh_error *hash_rows(const struct hunt_redaction *redaction)
{
	struct lh_hunt *hunt = redaction->hunt;
	for (size_t i = 0; i < hunt->row_count; i++) {
		LH_TRY(hash_hunt_text(redaction, &hunt->rows[i].detail));
		if (hunt->rows[i].kind == LH_HUNT_ROW_TEXTS)
			LH_TRY(hash_hunt_text(redaction, &hunt->rows[i].name));
	}
	return NULL;
}

static struct lh_error *hash_difference(const struct hunt_redaction *redaction)
{
	for (int kind = 0; redaction->hunt->has_diff && kind < LH_DIFF_KIND_COUNT; kind++) {
		struct lh_diff_rows *rows = &redaction->hunt->diff.kinds[kind];
		for (size_t i = 0; i < rows->rows.count; i++) {
			if (kind == LH_DIFF_TEMPLATES || kind == LH_DIFF_TEXTS)
				LH_TRY(hash_hunt_text(redaction, &rows->rows.items[i].name));
			else if (kind == LH_DIFF_OBJECTS)
				LH_TRY(hash_hunt_text(redaction, &rows->rows.items[i].detail));
		}
	}
	return NULL;
}

/* ---------------------------------------------------------------- who holds it */

/* "stack of thread 123 (worker)": the name goes, the number stays. */
static void cut_thread_name(char *root)
{
	static const char prefix[] = "stack of thread";
	char *name = strstr(root, " (");
	if (strncmp(root, prefix, sizeof(prefix) - 1) == 0 && name)
		*name = '\0';
}

static struct lh_error *hash_reach(const struct hunt_redaction *redaction)
{
	struct lh_hunt_reach *reach = &redaction->hunt->reach;
	cut_thread_name(reach->holder);
	cut_thread_name(reach->root);
	for (size_t i = 0; i < reach->leaks.rows.rows.count; i++)
		LH_TRY(hash_hunt_text(redaction, &reach->leaks.rows.rows.items[i].detail));
	for (size_t i = 0; i < reach->holders.items.count; i++) {
		struct lh_holder *holder = &reach->holders.items.items[i];
		LH_CLEANUP(lh_cleanup_free) char *root = strdup(holder->root);
		if (!root)
			return lh_error_no_memory();
		cut_thread_name(root);
		LH_TRY(lh_strings_pool_add(&redaction->hunt->selection.strings, root, strlen(root), &holder->root));
	}
	return NULL;
}

/* ---------------------------------------------------------------- mappings and threads */

/* Programs and libraries stay; "[heap]" and the like are the kernel's words. */
static bool keeps_mapping_name(const struct lh_hunt *hunt, const char *name)
{
	if (name[0] != '/' || strstr(name, ".so"))
		return true;
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		const struct lh_module_list *list = hunt->images[side] ? lh_image_modules(hunt->images[side]) : NULL;
		for (size_t i = 0; list && i < list->modules.count; i++) {
			if (strcmp(list->modules.items[i].path, name) == 0)
				return true;
		}
	}
	return false;
}

/* Types of an owner are named after mappings, too. */
static struct lh_error *hash_fills_named(const struct hunt_redaction *redaction, const char *name)
{
	struct lh_hunt_owners *owners = &redaction->hunt->owners;
	for (size_t i = 0; *name && i < owners->items.count; i++) {
		for (size_t j = 0; j < owners->items.items[i].fills.count; j++) {
			struct lh_hunt_fill *fill = &owners->items.items[i].fills.items[j];
			if (!*fill->family && !fill->prefix && strcmp(fill->name, name) == 0)
				LH_TRY(hash_hunt_text(redaction, &fill->name));
		}
	}
	return NULL;
}

static struct lh_error *hash_growth(const struct hunt_redaction *redaction, struct lh_growth *growth)
{
	const char *slash = strrchr(growth->name, '/');
	if (*growth->thread_name) {
		LH_TRY(hash_fills_named(redaction, growth->thread_name));
		LH_TRY(hash_hunt_text(redaction, &growth->thread_name));
	}
	if (keeps_mapping_name(redaction->hunt, growth->name))
		return NULL;
	LH_TRY(hash_fills_named(redaction, slash && slash[1] ? slash + 1 : growth->name));
	snprintf(growth->cause.text, sizeof(growth->cause.text), "%s", "a file whose name is redacted");
	return hash_hunt_text(redaction, &growth->name);
}

static struct lh_error *hash_mappings(const struct hunt_redaction *redaction)
{
	struct lh_hunt *hunt = redaction->hunt;
	for (size_t i = 0; i < hunt->selection.growths.count; i++)
		LH_TRY(hash_growth(redaction, &hunt->selection.growths.items[i]));
	if (hunt->has_cause && hunt->suspect)
		hunt->cause = hunt->suspect->cause;
	lh_replace_text(redaction->key, (uint8_t *)hunt->selection.held_name, strlen(hunt->selection.held_name));
	return NULL;
}

static struct lh_error *hash_values(const struct hunt_redaction *redaction)
{
	struct lh_hunt_owners *owners = &redaction->hunt->owners;
	for (size_t i = 0; i < owners->items.count; i++) {
		for (size_t j = 0; j < owners->items.items[i].fills.count; j++) {
			struct lh_hunt_fill *fill = &owners->items.items[i].fills.items[j];
			if (*fill->family)
				LH_TRY(hash_hunt_text(redaction, &fill->detail));
		}
	}
	return NULL;
}

struct lh_error *lh_report_redact_hunt(struct lh_hunt *hunt, const uint8_t key[LH_REDACT_KEY_BYTES])
{
	struct hunt_redaction redaction = {.hunt = hunt, .key = key};
	hunt->is_redacted = true;
	hunt->host[0] = '\0';
	LH_TRY(hash_rows(&redaction));
	LH_TRY(hash_difference(&redaction));
	LH_TRY(hash_reach(&redaction));
	LH_TRY(hash_values(&redaction));
	return hash_mappings(&redaction);
}
