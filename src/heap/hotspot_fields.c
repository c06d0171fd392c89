/*
 * hotspot_fields: the offsets of HotSpot's structures, from the tables that libjvm exports for debuggers. Input:
 * libjvm's symbols, and its tables in memory. Output: addresses of static fields, and offsets of others.
 */
#include "hotspot.h"

#include <string.h>

enum { ENTRIES_MAX = 1 << 14, NAME_BYTES = 64, ENTRY_BYTES_MAX = 256 };

/* If versions spell a name differently, the first spelling found counts. */
static const struct wanted_field {
	enum lh_hotspot_field field;
	const char *type;
	const char *name;
} wanted_fields[] = {
	{LH_JVM_HEAP, "Universe", "_collectedHeap"},
	{LH_JVM_RESERVED, "CollectedHeap", "_reserved"},
	{LH_JVM_REGION_START, "MemRegion", "_start"},
	{LH_JVM_REGION_WORDS, "MemRegion", "_word_size"},
	{LH_JVM_NARROW_BASE, "CompressedKlassPointers", "_narrow_klass._base"},
	{LH_JVM_NARROW_BASE, "CompressedKlassPointers", "_base"},
	{LH_JVM_NARROW_BASE, "Universe", "_narrow_klass._base"},
	{LH_JVM_NARROW_SHIFT, "CompressedKlassPointers", "_narrow_klass._shift"},
	{LH_JVM_NARROW_SHIFT, "CompressedKlassPointers", "_shift"},
	{LH_JVM_NARROW_SHIFT, "Universe", "_narrow_klass._shift"},
	{LH_JVM_CLASS_NARROW, "oopDesc", "_metadata._compressed_klass"},
	{LH_JVM_CLASS_WIDE, "oopDesc", "_metadata._klass"},
	{LH_JVM_LAYOUT, "Klass", "_layout_helper"},
	{LH_JVM_NAME, "Klass", "_name"},
	{LH_JVM_SYMBOL_LENGTH, "Symbol", "_length"},
	{LH_JVM_SYMBOL_BODY, "Symbol", "_body"},
	{LH_JVM_SYMBOL_BODY, "Symbol", "_body[0]"},
	{LH_JVM_MIRROR_SIZE, "java_lang_Class", "_oop_size_offset"},
	{LH_JVM_THREADS, "ThreadsSMRSupport", "_java_thread_list"},
	{LH_JVM_THREAD_COUNT, "ThreadsList", "_length"},
	{LH_JVM_THREAD_ITEMS, "ThreadsList", "_threads"},
	{LH_JVM_TLAB, "Thread", "_tlab"},
	{LH_JVM_TLAB_TOP, "ThreadLocalAllocBuffer", "_top"},
	{LH_JVM_TLAB_END, "ThreadLocalAllocBuffer", "_end"},
	{LH_JVM_TLAB_RESERVE, "ThreadLocalAllocBuffer", "_reserve_for_allocation_prefetch"},
	{LH_JVM_G1_MANAGER, "G1CollectedHeap", "_hrm"},
	{LH_JVM_G1_TABLE, "HeapRegionManager", "_regions"},
	{LH_JVM_G1_TABLE, "G1HeapRegionManager", "_regions"},
	{LH_JVM_G1_ITEMS, "G1HeapRegionTable", "_base"},
	{LH_JVM_G1_COUNT, "G1HeapRegionTable", "_length"},
	{LH_JVM_G1_BOTTOM, "HeapRegion", "_bottom"},
	{LH_JVM_G1_BOTTOM, "G1HeapRegion", "_bottom"},
	{LH_JVM_G1_TOP, "HeapRegion", "_top"},
	{LH_JVM_G1_TOP, "G1HeapRegion", "_top"},
	{LH_JVM_G1_END, "HeapRegion", "_end"},
	{LH_JVM_G1_END, "G1HeapRegion", "_end"},
	{LH_JVM_G1_TYPE, "HeapRegion", "_type"},
	{LH_JVM_G1_TYPE, "G1HeapRegion", "_type"},
	{LH_JVM_G1_TAG, "HeapRegionType", "_tag"},
	{LH_JVM_G1_TAG, "G1HeapRegionType", "_tag"},
	{LH_JVM_SERIAL_YOUNG, "GenCollectedHeap", "_young_gen"},
	{LH_JVM_SERIAL_YOUNG, "SerialHeap", "_young_gen"},
	{LH_JVM_SERIAL_OLD, "GenCollectedHeap", "_old_gen"},
	{LH_JVM_SERIAL_OLD, "SerialHeap", "_old_gen"},
	{LH_JVM_SERIAL_EDEN, "DefNewGeneration", "_eden_space"},
	{LH_JVM_SERIAL_FROM, "DefNewGeneration", "_from_space"},
	{LH_JVM_SERIAL_TO, "DefNewGeneration", "_to_space"},
	{LH_JVM_SERIAL_TENURED, "CardGeneration", "_the_space"},
	{LH_JVM_SERIAL_TENURED, "TenuredGeneration", "_the_space"},
	{LH_JVM_SPACE_BOTTOM, "Space", "_bottom"},
	{LH_JVM_SPACE_BOTTOM, "ContiguousSpace", "_bottom"},
	{LH_JVM_SPACE_END, "Space", "_end"},
	{LH_JVM_SPACE_END, "ContiguousSpace", "_end"},
	{LH_JVM_SPACE_TOP, "ContiguousSpace", "_top"},
	{LH_JVM_PARALLEL_YOUNG, "ParallelScavengeHeap", "_young_gen"},
	{LH_JVM_PARALLEL_OLD, "ParallelScavengeHeap", "_old_gen"},
	{LH_JVM_PARALLEL_EDEN, "PSYoungGen", "_eden_space"},
	{LH_JVM_PARALLEL_FROM, "PSYoungGen", "_from_space"},
	{LH_JVM_PARALLEL_TO, "PSYoungGen", "_to_space"},
	{LH_JVM_PARALLEL_TENURED, "PSOldGen", "_object_space"},
	{LH_JVM_MUTABLE_BOTTOM, "ImmutableSpace", "_bottom"},
	{LH_JVM_MUTABLE_BOTTOM, "MutableSpace", "_bottom"},
	{LH_JVM_MUTABLE_END, "ImmutableSpace", "_end"},
	{LH_JVM_MUTABLE_END, "MutableSpace", "_end"},
	{LH_JVM_MUTABLE_TOP, "MutableSpace", "_top"},
};

/* Exported numbers and pointers. */
static const char *const table_names[] = {
	"gHotSpotVMStructs",
	"gHotSpotVMStructEntryTypeNameOffset",
	"gHotSpotVMStructEntryFieldNameOffset",
	"gHotSpotVMStructEntryIsStaticOffset",
	"gHotSpotVMStructEntryOffsetOffset",
	"gHotSpotVMStructEntryAddressOffset",
	"gHotSpotVMStructEntryArrayStride",
	"gHotSpotVMIntConstants",
	"gHotSpotVMIntConstantEntryNameOffset",
	"gHotSpotVMIntConstantEntryValueOffset",
	"gHotSpotVMIntConstantEntryArrayStride",
};
enum {
	STRUCTS,
	STRUCT_TYPE,
	STRUCT_FIELD,
	STRUCT_STATIC,
	STRUCT_OFFSET,
	STRUCT_ADDRESS,
	STRUCT_STRIDE,
	INTS,
	INT_NAME,
	INT_VALUE,
	INT_STRIDE,
	TABLE_NAMES,
};
_Static_assert(LH_ARRAY_COUNT(table_names) == TABLE_NAMES, "one name each");

struct vm_tables {
	const struct lh_module_file *file;
	uint64_t addrs[TABLE_NAMES];
	uint64_t values[TABLE_NAMES];
};

static void take_table_name(void *context, const char *name, uint64_t addr)
{
	struct vm_tables *tables = context;
	for (size_t i = 0; i < TABLE_NAMES; i++) {
		if (strcmp(name, table_names[i]) == 0)
			tables->addrs[i] = addr;
	}
}

static bool is_libjvm(const struct lh_module *module)
{
	const char *slash = strrchr(module->path, '/');
	return slash && strcmp(slash, "/libjvm.so") == 0;
}

static const struct lh_module *find_libjvm(const struct lh_image *image)
{
	const struct lh_module_list *list = lh_image_modules(image);
	for (size_t i = 0; i < list->modules.count; i++) {
		if (is_libjvm(&list->modules.items[i]))
			return &list->modules.items[i];
	}
	return NULL;
}

static bool is_table_offset_sane(const struct vm_tables *tables, int offset, int stride)
{
	return tables->values[stride] <= ENTRY_BYTES_MAX && tables->values[offset] + 8 <= tables->values[stride];
}

static bool read_tables(struct vm_tables *tables)
{
	for (size_t i = 0; i < TABLE_NAMES; i++) {
		if (!tables->addrs[i] || !lh_module_file_read(tables->file, tables->addrs[i], &tables->values[i], 8))
			return false;
	}
	for (int i = STRUCT_TYPE; i < STRUCT_STRIDE; i++) {
		if (i != STRUCT_STATIC && !is_table_offset_sane(tables, i, STRUCT_STRIDE))
			return false;
	}
	return tables->values[STRUCT_STATIC] + 4 <= tables->values[STRUCT_STRIDE] &&
	       is_table_offset_sane(tables, INT_NAME, INT_STRIDE) &&
	       tables->values[INT_VALUE] + 4 <= tables->values[INT_STRIDE];
}

static void take_field(struct lh_hotspot *jvm, const struct vm_tables *tables, const uint8_t *entry, const char *type,
		       const char *name)
{
	bool is_static = lh_load_u32(entry, tables->values[STRUCT_STATIC]);
	for (size_t i = 0; i < LH_ARRAY_COUNT(wanted_fields); i++) {
		const struct wanted_field *wanted = &wanted_fields[i];
		if (jvm->has[wanted->field] || strcmp(type, wanted->type) != 0 || strcmp(name, wanted->name) != 0)
			continue;
		jvm->has[wanted->field] = true;
		jvm->is_static[wanted->field] = is_static;
		jvm->fields[wanted->field] =
			lh_load_u64(entry, tables->values[is_static ? STRUCT_ADDRESS : STRUCT_OFFSET]);
	}
}

/* The last entry has no names. */
static void read_fields(struct lh_hotspot *jvm, const struct vm_tables *tables)
{
	uint8_t entry[ENTRY_BYTES_MAX];
	char type[NAME_BYTES], name[NAME_BYTES];
	uint64_t addr = tables->values[STRUCTS], stride = tables->values[STRUCT_STRIDE];
	for (size_t i = 0; i < ENTRIES_MAX; i++, addr += stride) {
		if (!lh_module_file_read(tables->file, addr, entry, stride))
			return;
		uint64_t type_addr = lh_load_u64(entry, tables->values[STRUCT_TYPE]);
		uint64_t name_addr = lh_load_u64(entry, tables->values[STRUCT_FIELD]);
		if (!type_addr || !name_addr)
			return;
		if (lh_module_file_read_text(tables->file, type_addr, type, sizeof(type)) &&
		    lh_module_file_read_text(tables->file, name_addr, name, sizeof(name)))
			take_field(jvm, tables, entry, type, name);
	}
}

static void take_constant(struct lh_hotspot *jvm, const char *name, uint32_t value)
{
	if (strcmp(name, "HeapRegionType::YoungMask") == 0 || strcmp(name, "G1HeapRegionType::YoungMask") == 0)
		jvm->young_mask = value;
	if (strcmp(name, "HeapRegionType::HumongousMask") == 0 || strcmp(name, "G1HeapRegionType::HumongousMask") == 0)
		jvm->humongous_mask = value;
}

static void read_constants(struct lh_hotspot *jvm, const struct vm_tables *tables)
{
	uint8_t entry[ENTRY_BYTES_MAX];
	char name[NAME_BYTES];
	uint64_t addr = tables->values[INTS], stride = tables->values[INT_STRIDE];
	for (size_t i = 0; i < ENTRIES_MAX; i++, addr += stride) {
		if (!lh_module_file_read(tables->file, addr, entry, stride))
			return;
		uint64_t name_addr = lh_load_u64(entry, tables->values[INT_NAME]);
		if (!name_addr)
			return;
		if (lh_module_file_read_text(tables->file, name_addr, name, sizeof(name)))
			take_constant(jvm, name, lh_load_u32(entry, tables->values[INT_VALUE]));
	}
}

/* What every collector needs. */
static bool has_needed_fields(const struct lh_hotspot *jvm)
{
	static const enum lh_hotspot_field needed[] = {
		LH_JVM_HEAP,   LH_JVM_RESERVED, LH_JVM_REGION_START,  LH_JVM_REGION_WORDS, LH_JVM_CLASS_WIDE,
		LH_JVM_LAYOUT, LH_JVM_NAME,     LH_JVM_SYMBOL_LENGTH, LH_JVM_SYMBOL_BODY,  LH_JVM_MIRROR_SIZE,
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(needed); i++) {
		if (!jvm->has[needed[i]])
			return false;
	}
	return true;
}

struct lh_error *lh_hotspot_read_fields(struct lh_hotspot *jvm, bool *ret)
{
	const struct lh_module *module = find_libjvm(jvm->tour->image);
	LH_CLEANUP(lh_cleanup_module_file) struct lh_module_file *file = NULL;
	*ret = false;
	if (!module)
		return NULL;
	LH_TRY(lh_module_file_open(jvm->tour->image, module, &file));
	struct vm_tables tables = {.file = file};
	if (!file)
		return NULL;
	lh_module_file_visit_names(file, "gHotSpotVM", take_table_name, &tables);
	if (!read_tables(&tables))
		return NULL;
	read_fields(jvm, &tables);
	read_constants(jvm, &tables);
	*ret = has_needed_fields(jvm);
	return NULL;
}
