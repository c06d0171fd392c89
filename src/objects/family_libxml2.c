/*
 * family_libxml2: documents of libxml2 and their nodes. Input: where memory points to one of the names that text
 * nodes bear, a first walk over memory finds documents, which point to themselves; nodes are what points to these.
 *
 * libxml2 2.6 to 2.13, include/libxml/tree.h: struct _xmlNode, _xmlAttr, _xmlDtd and _xmlDoc begin alike: {_private;
 * xmlElementType type@8; name@16; children@24; last@32; parent@40; next@48; prev@56; doc@64}. xmlDoc goes on
 * {int compression, standalone; ...}.
 *
 * Self-check: neighbors in the tree point back to a node.
 */
#include "families.h"

#include <string.h>

enum {
	TYPE = 8,
	NAME = 16,
	CHILDREN = 24,
	PARENT = 40,
	NEXT = 48,
	PREVIOUS = 56,
	DOCUMENT = 64,
	COMPRESSION = 72,
	TYPE_ELEMENT = 1,
	TYPE_ATTRIBUTE = 2,
	TYPE_COMMENT = 8,
	TYPE_DOCUMENT = 9,
	TYPE_HTML_DOCUMENT = 13,
	TYPE_DTD = 14,
	TYPE_LAST = 21,
	COMPRESSION_MAX = 9,
	STANDALONE_LEAST = -2,
	STANDALONE_MOST = 1,
	TEXT_NAME_MAX = 8,
};

/* ---------------------------------------------------------------- documents */

static bool is_link_back(const struct lh_object_view *view, uint64_t neighbor, uint64_t field, uint64_t addr)
{
	uint64_t word;
	return !neighbor ||
	       (lh_object_is_pointer(neighbor) && lh_object_read(view, neighbor + field, &word) && word == addr);
}

static bool is_document(const struct lh_object_view *view, uint64_t addr)
{
	uint64_t type, parent, next, previous, children, numbers;
	if (!lh_object_read(view, addr + TYPE, &type) || (type != TYPE_DOCUMENT && type != TYPE_HTML_DOCUMENT) ||
	    !lh_object_read(view, addr + PARENT, &parent) || parent || !lh_object_read(view, addr + NEXT, &next) ||
	    next || !lh_object_read(view, addr + PREVIOUS, &previous) || previous ||
	    !lh_object_read(view, addr + CHILDREN, &children) || !lh_object_read(view, addr + COMPRESSION, &numbers))
		return false;
	int32_t compression = (int32_t)(uint32_t)numbers, standalone = (int32_t)(uint32_t)(numbers >> 32);
	return compression >= -1 && compression <= COMPRESSION_MAX && standalone >= STANDALONE_LEAST &&
	       standalone <= STANDALONE_MOST && is_link_back(view, children, PARENT, addr);
}

static struct lh_error *take_document_place(void *context, const struct lh_object_view *view)
{
	struct lh_family_target target = {.addr = view->hit->addr - DOCUMENT, .name = ""};
	return is_document(view, target.addr) ? lh_family_add_target(context, &target) : NULL;
}

/* xmlStringText, xmlStringComment: what nodes of text and comments are called. */
static bool has_text_names(const struct lh_family_setup *setup)
{
	for (size_t i = 0; i < setup->census->rows.count && i < LH_FAMILY_CENSUS_MAX; i++) {
		const char *name =
			lh_symbols_read_name(setup->symbols, setup->census->rows.items[i].target_addr, TEXT_NAME_MAX);
		if (name && (strcmp(name, "text") == 0 || strcmp(name, "comment") == 0))
			return true;
	}
	return false;
}

static struct lh_error *prepare_documents(const struct lh_family_setup *setup)
{
	static const struct lh_word_pattern points_to_itself[] = {{.is_own_address = true, .offset = -DOCUMENT}};
	if (!has_text_names(setup))
		return NULL;
	return lh_family_walk(setup, points_to_itself, LH_ARRAY_COUNT(points_to_itself), take_document_place);
}

/* ---------------------------------------------------------------- nodes */

/* A node of a tree has a parent; one that was unlinked, or never linked, has none. */
static const char *xml_node_name(const struct lh_object_view *view, uint64_t addr, uint64_t type)
{
	uint64_t parent;
	if (type == TYPE_ATTRIBUTE)
		return "xmlAttr";
	if (type == TYPE_DTD)
		return "xmlDtd";
	if (type > TYPE_COMMENT)
		return "declaration";
	return lh_object_read(view, addr + PARENT, &parent) && !parent ? "unlinked xmlNode" : "xmlNode";
}

static bool is_xml_node(const struct lh_object_view *view, uint64_t addr)
{
	uint64_t name, children, parent, next, previous;
	return lh_object_read(view, addr + NAME, &name) && lh_object_read(view, addr + CHILDREN, &children) &&
	       lh_object_is_pointer_or_null(children) && lh_object_read(view, addr + PARENT, &parent) &&
	       lh_object_is_pointer_or_null(parent) && lh_object_read(view, addr + NEXT, &next) &&
	       is_link_back(view, next, PREVIOUS, addr) && lh_object_read(view, addr + PREVIOUS, &previous) &&
	       is_link_back(view, previous, NEXT, addr);
}

static struct lh_error *take_node(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t addr = view->hit->addr - DOCUMENT, type;
	if (!lh_object_may_begin_at(view, addr) || !lh_object_read(view, addr + TYPE, &type) || !type ||
	    type > TYPE_LAST || !is_xml_node(view, addr))
		return NULL;
	bool is_self = addr == view->target->addr;
	struct lh_object_claim claim =
		lh_object_claim_of(view, is_self ? "xmlDoc" : xml_node_name(view, addr, type), addr);
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_libxml2 = {
	.kind = "libxml2",
	.prepare = prepare_documents,
	.take = take_node,
};
