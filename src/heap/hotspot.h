/*
 * hotspot: what the parts of the walk over a Java heap share. Private to heap.
 *
 * libjvm describes its own structures for debuggers (runtime/vmStructs.cpp): gHotSpotVMStructs lists {type, field, its
 * type, is static, offset, address}, gHotSpotVMIntConstants {name, value}. All offsets come from these tables.
 */
#ifndef LEAKHUNT_HEAP_HOTSPOT_H
#define LEAKHUNT_HEAP_HOTSPOT_H

#include "leakhunt/hash_table.h"
#include "leakhunt/symbols.h"
#include "walker.h"

/* Fields: for static ones the address of the value, else the offset in the object. */
enum lh_hotspot_field {
	LH_JVM_HEAP, /* Universe::_collectedHeap */
	LH_JVM_RESERVED,
	LH_JVM_REGION_START,
	LH_JVM_REGION_WORDS,
	LH_JVM_NARROW_BASE, /* of compressed class pointers */
	LH_JVM_NARROW_SHIFT,
	LH_JVM_CLASS_NARROW, /* in an object */
	LH_JVM_CLASS_WIDE,
	LH_JVM_LAYOUT, /* Klass::_layout_helper */
	LH_JVM_NAME,
	LH_JVM_SYMBOL_LENGTH,
	LH_JVM_SYMBOL_BODY,
	LH_JVM_MIRROR_SIZE, /* where a java.lang.Class stores the offset of its size */
	LH_JVM_THREADS,
	LH_JVM_THREAD_COUNT,
	LH_JVM_THREAD_ITEMS,
	LH_JVM_TLAB,
	LH_JVM_TLAB_TOP,
	LH_JVM_TLAB_END,
	LH_JVM_TLAB_RESERVE, /* words reserved after each TLAB, or fewer than an object's header takes */
	LH_JVM_G1_MANAGER,
	LH_JVM_G1_TABLE,
	LH_JVM_G1_ITEMS,
	LH_JVM_G1_COUNT,
	LH_JVM_G1_BOTTOM,
	LH_JVM_G1_TOP,
	LH_JVM_G1_END,
	LH_JVM_G1_TYPE,
	LH_JVM_G1_TAG,
	LH_JVM_SERIAL_YOUNG,
	LH_JVM_SERIAL_OLD,
	LH_JVM_SERIAL_EDEN,
	LH_JVM_SERIAL_FROM,
	LH_JVM_SERIAL_TO,
	LH_JVM_SERIAL_TENURED,
	LH_JVM_SPACE_BOTTOM,
	LH_JVM_SPACE_END,
	LH_JVM_SPACE_TOP,
	LH_JVM_PARALLEL_YOUNG,
	LH_JVM_PARALLEL_OLD,
	LH_JVM_PARALLEL_EDEN,
	LH_JVM_PARALLEL_FROM,
	LH_JVM_PARALLEL_TO,
	LH_JVM_PARALLEL_TENURED,
	LH_JVM_MUTABLE_BOTTOM,
	LH_JVM_MUTABLE_END,
	LH_JVM_MUTABLE_TOP,
	LH_JVM_FIELDS,
};

/* A class, with the types of its objects. */
struct lh_hotspot_class {
	uint32_t types[2]; /* in the old generation, in eden */
	uint32_t layout;
	bool is_valid;
	bool is_mirror; /* java.lang.Class: its size is in the object */
};

struct lh_hotspot {
	struct lh_heap_tour *tour;
	bool has[LH_JVM_FIELDS];
	bool is_static[LH_JVM_FIELDS];
	uint64_t fields[LH_JVM_FIELDS];
	uint64_t young_mask, humongous_mask; /* of G1's region tags */
	bool is_narrow;
	uint64_t narrow_base;
	uint32_t narrow_shift;
	uint64_t mirror_size_offset;
	struct lh_range reserved;
	struct lh_hash_table numbers; /* of classes, by the class word of objects */
	LH_VEC(struct lh_hotspot_class) classes;
	LH_VEC(struct lh_range) tlabs; /* their free parts including the reserve, ascending */
};

/* The claim of lh_walk_jvm. */
struct lh_error *lh_jvm_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

void lh_hotspot_deinit(struct lh_hotspot *jvm);

/* Reads the tables of libjvm. False in *ret if they are missing or incomplete. */
struct lh_error *lh_hotspot_read_fields(struct lh_hotspot *jvm, bool *ret) LH_NODISCARD;

/* The class of an object at `addr`; NULL in *ret if it has none. Valid until the next call. */
struct lh_error *lh_hotspot_find_class(struct lh_hotspot *jvm, const uint8_t *object,
				       const struct lh_hotspot_class **ret) LH_NODISCARD;

/* The offset of the length in an array: after the mark word and the class (oops/arrayOop.hpp). */
static inline uint8_t lh_hotspot_length_offset(const struct lh_hotspot *jvm)
{
	return jvm->is_narrow ? 12 : 16;
}

/* A stretch that objects fill without gaps, up to `top`. */
struct lh_hotspot_space {
	uint64_t bottom, top, end;
	bool is_young;     /* eden */
	bool is_humongous; /* its one object may extend past `end` */
	bool goes_on;      /* part of a humongous object that begins before it */
};
typedef struct lh_error *lh_hotspot_space_visitor(void *context, const struct lh_hotspot_space *space);
/* Calls `visit` for all spaces of the collector; false in *ret if the collector is unknown. */
struct lh_error *lh_hotspot_visit_spaces(struct lh_hotspot *jvm, lh_hotspot_space_visitor *visit, void *context,
					 const char **ret_collector) LH_NODISCARD;

#endif
