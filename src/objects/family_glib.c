/*
 * family_glib: instances of GObject and of what is derived from it, by the name of their class. Input: the tree of
 * types that libgobject keeps, found from its static array of fundamental types. Output: the addresses of classes,
 * which every instance begins with.
 *
 * GLib 2.40 to 2.84, gobject/gtype.c: static TypeNode *static_fundamental_type_nodes[256], by type >> 2. TypeNode is
 * {[ref_count, gone in 2.84;] plugin; n_children; n_supers, ... bits; children; TypeData *data; GQuark qname; ...
 * supers[]}, where supers[0] is the type itself: the node's address, or the number of a fundamental type, and the last
 * one is the fundamental type. TypeData holds the address of the class, which begins with the type, and behind it
 * instance_size and private_size. glib/gquark.c: static gchar **quarks, by quark.
 * gobject/gobject.c: GObject is {GTypeClass *g_class; guint ref_count; [guint optional_flags;] GData *qdata}.
 *
 * Self-check: each type names itself in its node and in its class, and GObject is called so.
 */
#include "families.h"

#include <string.h>

enum {
	FUNDAMENTALS = 24, /* of the array that are looked at: the library's own; those of programs begin at 49 */
	INTERFACE_INDEX = 2,
	OBJECT_INDEX = 20,
	TYPE_SHIFT = 2,
	/* From `plugin` on. */
	CHILD_COUNT = 8,
	CHILDREN = 16,
	DATA = 24,
	QUARK = 32,
	/* In the node. */
	PLUGIN_LAST = 8,
	SUPERS_FIRST = 64,
	SUPERS_LAST = 104,
	CLASS_FIRST = 32, /* where in TypeData the class may lie */
	CLASS_LAST = 88,
	DEPTH_MAX = 64,
	CHILDREN_MAX = 1 << 16,
	TYPES_MAX = 1 << 16,
	QUARK_MAX = 1 << 24,
	NAME_MAX_BYTES = 200,
	SIZE_MAX_BYTES = 0xffff,
	REFERENCES_MAX = 1 << 28,
	FLAGS_MAX = 0xffff,
	SIZE_BITS = 16,
};

struct type_tree {
	const struct lh_family_setup *setup;
	uint64_t supers; /* where they lie in a node */
	uint64_t plugin; /* and where `plugin` does */
	uint64_t object_node;
	uint64_t interface_node;
	uint64_t quarks;
	size_t type_count;
};

static bool read_glib_word(const struct type_tree *tree, uint64_t addr, uint64_t *ret)
{
	return lh_object_is_pointer(addr) && lh_image_read(tree->setup->image, addr, ret, 8) == 8;
}

static bool read_int(const struct type_tree *tree, uint64_t addr, uint32_t *ret)
{
	return addr % 4 == 0 && lh_image_read(tree->setup->image, addr, ret, 4) == 4;
}

/* ---------------------------------------------------------------- the fundamental types */

static bool is_fundamental_node(const struct type_tree *tree, uint64_t node, uint64_t index)
{
	uint64_t type;
	return read_glib_word(tree, node + tree->supers, &type) && type == index << TYPE_SHIFT;
}

/* The array begins with no node for 0; those of interfaces and of objects are always there. */
static bool is_node_array(struct type_tree *tree, const uint64_t *nodes)
{
	if (nodes[0] || !lh_object_is_pointer(nodes[INTERFACE_INDEX]) || !lh_object_is_pointer(nodes[OBJECT_INDEX]))
		return false;
	for (tree->supers = SUPERS_FIRST; tree->supers <= SUPERS_LAST; tree->supers += 8) {
		size_t right = 0, wrong = 0;
		for (uint64_t i = 1; i < FUNDAMENTALS; i++) {
			bool is_right = nodes[i] && is_fundamental_node(tree, nodes[i], i);
			right += is_right;
			wrong += nodes[i] && !is_right;
		}
		if (right >= 2 && !wrong)
			return true;
	}
	return false;
}

static struct lh_error *find_nodes(void *context, const struct lh_module_data *data)
{
	struct type_tree *tree = context;
	for (size_t i = 0; !tree->object_node && i + FUNDAMENTALS <= data->count; i++) {
		if (!is_node_array(tree, data->words + i))
			continue;
		tree->object_node = data->words[i + OBJECT_INDEX];
		tree->interface_node = data->words[i + INTERFACE_INDEX];
	}
	return NULL;
}

/* ---------------------------------------------------------------- names */

static const char *quark_name(const struct type_tree *tree, uint64_t quarks, uint32_t quark)
{
	uint64_t text;
	if (!quark || quark > QUARK_MAX || !read_glib_word(tree, quarks + (uint64_t)quark * 8, &text))
		return NULL;
	return lh_symbols_read_name(tree->setup->symbols, text, NAME_MAX_BYTES);
}

static const char *node_name(const struct type_tree *tree, uint64_t quarks, uint64_t node)
{
	uint32_t quark;
	return read_int(tree, node + tree->plugin + QUARK, &quark) ? quark_name(tree, quarks, quark) : NULL;
}

/* The array of quarks has none at 0, and calls both fundamental types by their names. */
static bool is_quark_array(const struct type_tree *tree, uint64_t quarks)
{
	uint64_t none;
	const char *name;
	if (!read_glib_word(tree, quarks, &none) || none)
		return false;
	name = node_name(tree, quarks, tree->object_node);
	if (!name || strcmp(name, "GObject") != 0)
		return false;
	name = node_name(tree, quarks, tree->interface_node);
	return name && strcmp(name, "GInterface") == 0;
}

/* The names come out in the layout of nodes that this GLib has. */
static bool find_node_layout(struct type_tree *tree, uint64_t quarks)
{
	for (tree->plugin = 0; tree->plugin <= PLUGIN_LAST; tree->plugin += PLUGIN_LAST) {
		if (is_quark_array(tree, quarks))
			return true;
	}
	return false;
}

static struct lh_error *find_quarks(void *context, const struct lh_module_data *data)
{
	struct type_tree *tree = context;
	for (size_t i = 0; !tree->quarks && i < data->count; i++) {
		if (lh_object_is_pointer(data->words[i]) && find_node_layout(tree, data->words[i]))
			tree->quarks = data->words[i];
	}
	return NULL;
}

/* ---------------------------------------------------------------- classes */

/* What a type calls itself by. */
static uint64_t type_of(const struct type_tree *tree, uint64_t node)
{
	return node == tree->object_node ? (uint64_t)OBJECT_INDEX << TYPE_SHIFT : node;
}

/* The class of a type, and the sizes of an instance: {u16 public, u16 private}. False while no instance was ever made.
 */
static bool find_class(const struct type_tree *tree, uint64_t node, uint64_t *ret_class, uint32_t *ret_sizes)
{
	uint64_t data, type;
	uint32_t sizes;
	if (!read_glib_word(tree, node + tree->plugin + DATA, &data) || !data)
		return false;
	for (uint64_t at = CLASS_FIRST; at <= CLASS_LAST; at += 8) {
		if (!read_glib_word(tree, data + at, ret_class) || !read_glib_word(tree, *ret_class, &type) ||
		    type != type_of(tree, node) || !read_int(tree, data + at + 8, &sizes))
			continue;
		*ret_sizes = sizes;
		return true;
	}
	return false;
}

static struct lh_error *add_class(struct type_tree *tree, uint64_t node)
{
	struct lh_family_target target;
	target.name = node_name(tree, tree->quarks, node);
	if (!target.name || !find_class(tree, node, &target.addr, &target.role))
		return NULL;
	return lh_family_add_target(tree->setup, &target);
}

/* A node that names itself; the root names its number. */
static bool is_node(const struct type_tree *tree, uint64_t node)
{
	uint64_t type;
	return read_glib_word(tree, node + tree->supers, &type) && type == type_of(tree, node);
}

static struct lh_error *add_children(struct type_tree *tree, uint64_t node, unsigned depth)
{
	uint64_t children, child;
	uint32_t count;
	if (depth > DEPTH_MAX || !read_int(tree, node + tree->plugin + CHILD_COUNT, &count) || count > CHILDREN_MAX ||
	    !read_glib_word(tree, node + tree->plugin + CHILDREN, &children))
		return NULL;
	for (uint64_t i = 0; i < count && tree->type_count < TYPES_MAX; i++) {
		if (!read_glib_word(tree, children + i * 8, &child) || !is_node(tree, child))
			continue;
		tree->type_count++;
		LH_TRY(add_class(tree, child));
		LH_TRY(add_children(tree, child, depth + 1));
	}
	return NULL;
}

static struct lh_error *prepare_classes(const struct lh_family_setup *setup)
{
	struct type_tree tree = {.setup = setup};
	LH_TRY(lh_family_visit_module_data(setup, find_nodes, &tree));
	if (!tree.object_node)
		return NULL;
	LH_TRY(lh_family_visit_module_data(setup, find_quarks, &tree));
	if (!tree.quarks)
		return NULL;
	LH_TRY(add_class(&tree, tree.object_node));
	return add_children(&tree, tree.object_node, 0);
}

/* ---------------------------------------------------------------- instances */

/* The node's data holds the class, too, and the sizes behind it, where an instance has its references. */
static bool is_type_data(const struct lh_object_view *view, uint64_t references)
{
	uint64_t node, data;
	if ((uint32_t)references != view->target->role || lh_image_read(view->image, view->target->addr, &node, 8) != 8)
		return false;
	bool holds_class = !lh_object_is_pointer(node);
	for (uint64_t plugin = 0; plugin <= PLUGIN_LAST; plugin += PLUGIN_LAST)
		holds_class = holds_class || (lh_image_read(view->image, node + plugin + DATA, &data, 8) == 8 &&
					      view->hit->addr - data <= CLASS_LAST);
	return holds_class;
}

/* Freed instances have no class: g_type_free_instance sets it to NULL. */
static struct lh_error *take_instance(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t references, data;
	if (!lh_object_word(view, 8, &references) || !lh_object_word(view, 16, &data) || !(uint32_t)references ||
	    (uint32_t)references > REFERENCES_MAX || references >> 32 > FLAGS_MAX ||
	    !lh_object_is_pointer_or_null(data & ~UINT64_C(7)) || is_type_data(view, references))
		return NULL;
	struct lh_object_claim claim = {.name = view->target->name, .addr = view->hit->addr};
	claim.bytes = lh_align_up((view->target->role & SIZE_MAX_BYTES) + (view->target->role >> SIZE_BITS), 16);
	claim.is_freed = view->has_chunk && !view->chunk.is_used;
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_glib = {
	.kind = "GLib",
	.prepare = prepare_classes,
	.take = take_instance,
};
