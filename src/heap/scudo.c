/*
 * scudo: regions of LLVM's Scudo (compiler-rt/lib/scudo/standalone, LLVM 14 to 19). Input: memory. Output: claims.
 * Space for all classes is reserved at once, 4 GiB each; what is used of a class is mapped from a random page of the
 * first 16 on (primary64.h). Blocks begin with a header whose checksum needs a secret: the one that most headers agree
 * on. Large blocks have mappings of their own, which say where they lie (secondary.h, LargeBlock::Header).
 */
#include "scudo.h"

#include <stdlib.h>
#include <string.h>

#define REGION_BYTES (4 * LH_GIB)

/* Regions of other classes are farther away. */
#define NEIGHBOR_DISTANCE_MIN (REGION_BYTES / 2)

#define CRC_POLYNOMIAL UINT32_C(0x82f63b78)

enum { VOTED_BYTES = 64 * 1024, VOTED_REGIONS = 16, SECRETS = 1 << 16, VOTES_MIN = 16 };
enum { STATE_BIT = 8, SIZE_BIT = 12, SIZE_MASK = (1 << 20) - 1, CHECKSUM_BIT = 48 };

/* Classes (size_class_map.h, DefaultSizeClassMap): 32 bytes apart up to 256, then four a doubling. */
enum { STEP_BYTES = 32, STEPPED_CLASSES = 8, STEPPED_BYTES = 256 };

#define START_OFFSETS_MAX (64 * LH_KIB)

enum { MAPPING_HEADER_WORDS = 6, MAPPING_BYTES = 2 * VOTED_BYTES };
enum { NEIGHBORS = 8, NEIGHBORS_MIN = 2 }; /* mappings before and behind one; those of other classes */

struct scudo_search {
	const struct lh_heap_memory *memory;
	const struct lh_scudo_visitor *visitor;
	struct lh_scudo_key *key;
	uint64_t *words; /* MAPPING_BYTES */
	uint16_t *votes; /* SECRETS */
};

uint64_t lh_scudo_class_bytes(uint32_t class)
{
	if (class <= STEPPED_CLASSES)
		return (uint64_t) class * STEP_BYTES;
	uint32_t above = class - STEPPED_CLASSES;
	uint64_t half = (uint64_t)STEPPED_BYTES << (above / 4);
	return half + half / 4 * (above % 4);
}

/* ---------------------------------------------------------------- headers */

static void fill_crc_table(uint32_t *table)
{
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? CRC_POLYNOMIAL : 0);
	}
}

static uint32_t add_to_crc(const uint32_t *table, uint32_t crc, uint64_t word)
{
	for (int i = 0; i < 8; i++, word >>= 8)
		crc = crc >> 8 ^ table[(crc ^ word) & 0xff];
	return crc;
}

static uint16_t find_crc_secret(const uint32_t *table, uint64_t addr, uint64_t unsigned_word, uint16_t checksum)
{
	uint32_t crc = add_to_crc(table, add_to_crc(table, 0, addr), unsigned_word);
	return (uint16_t)(checksum ^ crc ^ crc >> 16);
}

/* Takes the bytes of a word from BSD's checksum, the last one first. */
static uint16_t take_from_sum(uint16_t sum, uint64_t word)
{
	for (int i = 7; i >= 0; i--) {
		sum = (uint16_t)(sum - (word >> i * 8 & 0xff));
		sum = (uint16_t)(sum << 1 | sum >> 15);
	}
	return sum;
}

/* Which secret makes the checksum of a header what it is. */
static uint16_t secret_of(const struct lh_scudo_key *key, uint64_t addr, uint64_t word)
{
	uint64_t unsigned_word = word & ((UINT64_C(1) << CHECKSUM_BIT) - 1);
	uint16_t checksum = (uint16_t)(word >> CHECKSUM_BIT);
	return key->is_sum ? take_from_sum(take_from_sum(checksum, unsigned_word), addr)
			   : find_crc_secret(key->table, addr, unsigned_word, checksum);
}

bool lh_scudo_parse_header(const struct lh_scudo_key *key, uint64_t addr, uint64_t word, struct lh_scudo_header *ret)
{
	*ret = (struct lh_scudo_header){
		.class = (uint8_t)word,
		.state = word >> STATE_BIT & 3,
		.size = word >> SIZE_BIT & SIZE_MASK,
	};
	return ret->class < LH_SCUDO_CLASSES && ret->state < LH_SCUDO_STATES &&
	       secret_of(key, addr, word) == key->secret;
}

/* ---------------------------------------------------------------- the secret */

/* Whether two regions lie whole multiples of 4 GiB apart, but for the random pages before them. */
static bool are_of_one_reserve(struct lh_range a, struct lh_range b)
{
	uint64_t distance = a.start > b.start ? a.start - b.start : b.start - a.start;
	uint64_t rest = (distance + START_OFFSETS_MAX) % REGION_BYTES;
	return distance > NEIGHBOR_DISTANCE_MIN && distance < LH_SCUDO_CLASSES * REGION_BYTES &&
	       rest < 2 * START_OFFSETS_MAX;
}

/* Mappings of other classes lie around it. Of a dump, the space between them is not known. */
static bool lies_in_reserve(const struct lh_heap_memory *memory, size_t index)
{
	size_t first = index > NEIGHBORS ? index - NEIGHBORS : 0, count = 0;
	size_t end = lh_min_u64(index + NEIGHBORS + 1, memory->list->regions.count);
	if (!lh_heap_has(memory, index, LH_HEAP_PLAIN) ||
	    memory->ranges[end - 1].start - memory->ranges[first].start <= NEIGHBOR_DISTANCE_MIN)
		return false;
	for (size_t i = first; i < end; i++)
		count += lh_heap_has(memory, i, LH_HEAP_PLAIN) &&
			 are_of_one_reserve(memory->ranges[i], memory->ranges[index]);
	return count >= NEIGHBORS_MIN;
}

/* Pages that are not there are zeros. */
static size_t read_first_words(struct scudo_search *search, struct lh_range range, size_t bytes_max)
{
	size_t bytes = lh_min_u64(lh_range_bytes(range), bytes_max);
	uint8_t *ret = (uint8_t *)search->words;
	memset(ret, 0, bytes);
	for (size_t at = 0; at < bytes;) {
		size_t got = search->memory->read(search->memory->context, range.start + at, ret + at, bytes - at);
		at = lh_align_down(at + got, LH_PAGE_BYTES) + (at + got < bytes ? LH_PAGE_BYTES : 0);
	}
	return bytes / 8;
}

/* Where a block of the header's own class would begin, its header votes. */
static void collect_votes(struct scudo_search *search, uint64_t start, size_t word_count)
{
	for (size_t i = 0; i < word_count; i += 2) {
		uint64_t word = search->words[i], class = word & 0xff;
		if (!class || class >= LH_SCUDO_CLASSES || i * 8 % lh_scudo_class_bytes((uint32_t) class) ||
		    (word >> STATE_BIT & 3) != LH_SCUDO_ALLOCATED)
			continue;
		uint16_t *votes = &search->votes[secret_of(search->key, start + i * 8 + LH_SCUDO_HEADER_BYTES, word)];
		*votes += *votes < UINT16_MAX;
	}
}

static bool find_secret_of(struct scudo_search *search, const size_t *regions, size_t count, bool is_sum)
{
	size_t best = 0;
	memset(search->votes, 0, SECRETS * sizeof(*search->votes));
	search->key->is_sum = is_sum;
	for (size_t i = 0; i < count; i++) {
		struct lh_range range = search->memory->ranges[regions[i]];
		collect_votes(search, range.start, read_first_words(search, range, VOTED_BYTES));
	}
	for (size_t i = 0; i < SECRETS; i++)
		best = search->votes[i] > search->votes[best] ? i : best;
	search->key->secret = (uint16_t)best;
	return search->votes[best] >= VOTES_MIN;
}

/* False when no secret has votes that chance cannot give. */
static bool find_secret(struct scudo_search *search)
{
	size_t regions[VOTED_REGIONS], count = 0;
	for (size_t i = 0; i < search->memory->list->regions.count && count < VOTED_REGIONS; i++) {
		if (lies_in_reserve(search->memory, i))
			regions[count++] = i;
	}
	return count && (find_secret_of(search, regions, count, false) || find_secret_of(search, regions, count, true));
}

/* ---------------------------------------------------------------- visiting */

/* What a mapping of blocks holds, by headers that fit their checksums. */
struct class_place {
	struct lh_range range;
	uint64_t first; /* block; a dump need not have the mapping's first pages */
	uint32_t class; /* 0: no header tells */
	int score;
};

/* A block's header is its first word; an aligned one begins with a mark and the distance of its header. */
static bool parse_block(const struct scudo_search *search, uint64_t addr, uint64_t word, uint64_t end,
			struct lh_scudo_header *ret)
{
	uint64_t distance = word >> 32;
	if ((uint32_t)word == LH_SCUDO_BLOCK_MARK) {
		if (distance % 16 || distance >= end - addr ||
		    !lh_heap_read_words(search->memory, addr + distance, &word, 1))
			return false;
		addr += distance;
	}
	return word && lh_scudo_parse_header(search->key, addr + LH_SCUDO_HEADER_BYTES, word, ret) && ret->class;
}

/* Blocks of the class from `addr` on: those with its header, less those with anything else. */
static int score_class(const struct scudo_search *search, struct lh_range range, uint32_t class, uint64_t addr)
{
	enum { SCORED_BLOCKS = 16 };
	uint64_t bytes = lh_scudo_class_bytes(class);
	int score = 0;
	for (int i = 0; i < SCORED_BLOCKS && range.end - addr >= bytes; i++, addr += bytes) {
		struct lh_scudo_header header;
		uint64_t word;
		if (!lh_heap_read_words(search->memory, addr, &word, 1) || !word)
			continue;
		bool fits = parse_block(search, addr, word, range.end, &header) && header.class == class;
		score += fits ? 1 : -1;
	}
	return score;
}

/* Other words may fit a checksum of 16 bits, too: of each class, the first headers are tried. */
static struct class_place find_class_of_mapping(struct scudo_search *search, struct lh_range range)
{
	enum { TRIED_MAX = 4 };
	struct class_place best = {.range = range, .first = range.start};
	uint8_t tried_counts[LH_SCUDO_CLASSES] = {0};
	uint64_t moved_addr = 0; /* the header of an aligned block, which is none of a block's start */
	size_t word_count = read_first_words(search, range, MAPPING_BYTES);
	for (size_t i = 0; i < word_count; i += 2) {
		struct lh_scudo_header header;
		uint64_t word = search->words[i], addr = range.start + i * 8;
		if (!word || addr == moved_addr || !parse_block(search, addr, word, range.end, &header) ||
		    tried_counts[header.class] == TRIED_MAX)
			continue;
		if ((uint32_t)word == LH_SCUDO_BLOCK_MARK)
			moved_addr = addr + (word >> 32);
		tried_counts[header.class]++;
		int score = score_class(search, range, header.class, addr);
		if (score <= best.score)
			continue;
		best.score = score;
		best.class = header.class;
		best.first = range.start + i * 8 % lh_scudo_class_bytes(header.class);
	}
	return best;
}

struct class_places {
	LH_VEC(struct class_place) items;
};

static void deinit_class_places(struct class_places *places)
{
	lh_vec_deinit(&places->items);
}

static struct lh_error *find_class_places(struct scudo_search *search, struct class_places *ret)
{
	for (size_t i = 0; i < search->memory->list->regions.count; i++) {
		if (lies_in_reserve(search->memory, i))
			LH_TRY(lh_vec_push(&ret->items, find_class_of_mapping(search, search->memory->ranges[i])));
	}
	return NULL;
}

/* Up to LLVM 17, the class is the number of the 4 GiB from `base` on; later, classes are shuffled. */
static uint32_t class_by_place(struct lh_range range, uint64_t base)
{
	uint64_t distance = range.start + START_OFFSETS_MAX - base;
	bool fits = range.start + START_OFFSETS_MAX >= base && distance / REGION_BYTES < LH_SCUDO_CLASSES &&
		    distance % REGION_BYTES < 2 * START_OFFSETS_MAX;
	return fits ? (uint32_t)(distance / REGION_BYTES) : 0;
}

/* Where the reserve begins, but for 16 pages, when the mappings lie in the order of their classes; else 0. */
static uint64_t find_reserve(const struct class_places *places)
{
	const struct class_place *best = NULL;
	size_t known_count = 0, agreeing_count = 0;
	for (size_t i = 0; i < places->items.count; i++) {
		const struct class_place *place = &places->items.items[i];
		known_count += place->class != 0;
		if (place->class && (!best || place->score > best->score))
			best = place;
	}
	if (!best || best->range.start < best->class * REGION_BYTES)
		return 0;
	uint64_t base = best->range.start - best->class * REGION_BYTES;
	for (size_t i = 0; i < places->items.count; i++) {
		const struct class_place *place = &places->items.items[i];
		agreeing_count += place->class && class_by_place(place->range, base) == place->class;
	}
	return agreeing_count * 2 > known_count ? base : 0;
}

static struct lh_error *visit_classes(struct scudo_search *search)
{
	struct class_places places LH_CLEANUP(deinit_class_places) = {0};
	const struct lh_scudo_visitor *visitor = search->visitor;
	LH_TRY(find_class_places(search, &places));
	uint64_t base = find_reserve(&places);
	for (size_t i = 0; i < places.items.count; i++) {
		struct class_place place = places.items.items[i];
		if (base && !place.class)
			place.class = class_by_place(place.range, base);
		LH_TRY(visitor->take_blocks(visitor->context, place.range, place.class, place.first));
	}
	return NULL;
}

/*
 * The mapping's header, {previous, next, start, bytes, ...}, ends where the block's begins: in the first page, or some
 * later when the mapping served a larger block before. Headers of blocks that it served may
 * stay.
 */
static struct lh_error *visit_mapping(struct scudo_search *search, struct lh_range range)
{
	size_t count = read_first_words(search, range, MAPPING_BYTES);
	uint64_t best = 0;
	for (size_t i = 0; i + MAPPING_HEADER_WORDS + 1 <= count; i += 2) {
		const uint64_t *words = &search->words[i];
		uint64_t addr = range.start + (i + MAPPING_HEADER_WORDS) * 8 + LH_SCUDO_HEADER_BYTES;
		struct lh_scudo_header header;
		if (words[2] != range.start || words[3] != lh_range_bytes(range) ||
		    !lh_scudo_parse_header(search->key, addr, words[MAPPING_HEADER_WORDS], &header) || header.class)
			continue;
		best = best && header.state != LH_SCUDO_ALLOCATED ? best : addr;
		if (header.state == LH_SCUDO_ALLOCATED)
			break;
	}
	return best ? search->visitor->take_mapping(search->visitor->context, range, best) : NULL;
}

static struct lh_error *visit_mappings(struct scudo_search *search)
{
	for (size_t i = 0; i < search->memory->list->regions.count; i++) {
		if (lh_heap_has(search->memory, i, LH_HEAP_PLAIN))
			LH_TRY(visit_mapping(search, search->memory->ranges[i]));
	}
	return NULL;
}

struct lh_error *lh_scudo_visit(const struct lh_heap_memory *memory, const struct lh_scudo_visitor *visitor,
				struct lh_scudo_key *ret_key)
{
	LH_CLEANUP(lh_cleanup_free) uint64_t *words = malloc(MAPPING_BYTES);
	LH_CLEANUP(lh_cleanup_free) uint16_t *votes = calloc(SECRETS, sizeof(*votes));
	if (!words || !votes)
		return lh_error_no_memory();
	struct scudo_search search = {memory, visitor, ret_key, words, votes};
	fill_crc_table(ret_key->table);
	if (!find_secret(&search))
		return NULL;
	LH_TRY(visit_classes(&search));
	return visit_mappings(&search);
}

/* ---------------------------------------------------------------- claiming */

struct scudo_claim {
	const struct lh_heap_memory *memory;
	struct lh_owners *owners;
};

static struct lh_error *claim_scudo_blocks(void *context, struct lh_range range, uint32_t class, uint64_t first)
{
	struct scudo_claim *claim = context;
	(void)class;
	(void)first;
	return lh_heap_claim(claim->memory, range.start, range.end, LH_REGION_SCUDO, claim->owners);
}

static struct lh_error *claim_scudo_mapping(void *context, struct lh_range range, uint64_t addr)
{
	return claim_scudo_blocks(context, range, 0, addr);
}

struct lh_error *lh_scudo_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_scudo_key key;
	struct scudo_claim claim = {memory, ret};
	struct lh_scudo_visitor visitor = {claim_scudo_blocks, claim_scudo_mapping, &claim};
	return lh_scudo_visit(memory, &visitor, &key);
}
