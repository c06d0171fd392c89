/*
 * scudo: what its claim and its walk share. Private to heap.
 */
#ifndef LEAKHUNT_HEAP_SCUDO_H
#define LEAKHUNT_HEAP_SCUDO_H

#include "walker.h"

enum { LH_SCUDO_HEADER_BYTES = 16, LH_SCUDO_CLASSES = 45 };
/* What a block begins with whose header lies further up (combined.h, BlockMarker). */
#define LH_SCUDO_BLOCK_MARK UINT32_C(0x44554353)

enum lh_scudo_state { LH_SCUDO_FREE, LH_SCUDO_ALLOCATED, LH_SCUDO_QUARANTINED, LH_SCUDO_STATES };

/*
 * Checksums of headers are a CRC-32C that begins with a secret, which adds the same 16 bits to all, or else, as Debian
 * builds it, BSD's checksum (standalone/checksum.h).
 */
struct lh_scudo_key {
	uint32_t table[256];
	uint16_t secret;
	bool is_sum; /* BSD's */
};

/* The header of a block (standalone/chunk.h, UnpackedHeader). */
struct lh_scudo_header {
	uint8_t class; /* 0: a mapping of its own */
	uint8_t state; /* enum lh_scudo_state */
	uint32_t size; /* requested; of class 0: what is unused at the end */
};

/* True when the header that lies before `addr` fits its checksum. */
bool lh_scudo_parse_header(const struct lh_scudo_key *key, uint64_t addr, uint64_t word, struct lh_scudo_header *ret);
/* Of blocks of a class from 1 on, with their headers. */
uint64_t lh_scudo_class_bytes(uint32_t class);

struct lh_scudo_visitor {
	/* Blocks of one class, from `first` on. Of class 0: lists of free blocks, or blocks that were never given out.
	 */
	struct lh_error *(*take_blocks)(void *context, struct lh_range range, uint32_t class, uint64_t first);
	/* A mapping of one block, whose header lies before `addr`. */
	struct lh_error *(*take_mapping)(void *context, struct lh_range range, uint64_t addr);
	void *context;
};

/* Blocks first, then mappings; nothing in a process without Scudo. `ret_key` is set before the first call. */
struct lh_error *lh_scudo_visit(const struct lh_heap_memory *memory, const struct lh_scudo_visitor *visitor,
				struct lh_scudo_key *ret_key) LH_NODISCARD;
struct lh_error *lh_scudo_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
