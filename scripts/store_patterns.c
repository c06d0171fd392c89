/*
 * store_patterns: a step of the build. Compiles the sets of patterns that recognizers search for, for any x86_64, and
 * writes them as C to stdout: recognize_patterns.c loads them. The same patterns and the same vectorscan give the same
 * bytes, on any processor.
 */
#include "scan/recognize/recognize_patterns.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* There is nothing to load yet. */
const struct lh_stored_patterns lh_stored_patterns[LH_PATTERNS_ALL_COUNT];

static void put_database_words(unsigned set, const char *bytes, size_t length)
{
	printf("static const uint64_t database_%u[] = {", set);
	for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
		uint64_t word = 0;
		memcpy(&word, bytes + at, lh_min_u64(sizeof(word), length - at));
		printf("%s0x%" PRIx64 ",", at % 64 ? " " : "\n\t", word);
	}
	puts("\n};");
}

static void put_pattern_lengths(unsigned set, const struct lh_pattern_set_compiled *patterns)
{
	printf("static const uint32_t lengths_%u[] = {", set);
	for (unsigned i = 0; i < patterns->pattern_count; i++)
		printf("%s%zu,", i % 16 ? " " : "\n\t", patterns->patterns[i].bytes);
	puts("\n};");
}

static struct lh_error *put_database(unsigned set, hs_database_t *database)
{
	LH_CLEANUP(lh_cleanup_free) char *bytes = NULL;
	size_t length;
	hs_error_t status = hs_serialize_database(database, &bytes, &length);
	if (status != HS_SUCCESS)
		return lh_error_create(LH_ERROR_SYSTEM, "hs_serialize_database failed with code %d", status);
	put_database_words(set, bytes, length);
	printf("#define DATABASE_%u database_%u, %zu\n", set, set, length);
	return NULL;
}

static struct lh_error *put_pattern_set(unsigned set)
{
	static const hs_platform_info_t any_processor = {.tune = HS_TUNE_FAMILY_GENERIC};
	struct lh_pattern_set_compiled patterns;
	LH_TRY(lh_patterns_compile(set, &any_processor, &patterns));
	put_pattern_lengths(set, &patterns);
	printf("#define LENGTHS_%u lengths_%u, %u\n", set, set, patterns.pattern_count);
	if (!patterns.database) {
		printf("#define DATABASE_%u NULL, 0\n", set);
		return NULL;
	}
	struct lh_error *error = put_database(set, patterns.database);
	hs_free_database(patterns.database);
	return error;
}

static struct lh_error *put_pattern_sets(void)
{
	puts("#include \"scan/recognize/recognize_patterns.h\"\n");
	for (unsigned set = 0; set < LH_PATTERNS_ALL_COUNT; set++)
		LH_TRY(put_pattern_set(set));
	puts("const struct lh_stored_patterns lh_stored_patterns[LH_PATTERNS_ALL_COUNT] = {");
	for (unsigned set = 0; set < LH_PATTERNS_ALL_COUNT; set++)
		printf("\t{DATABASE_%u, LENGTHS_%u},\n", set, set);
	puts("};");
	return NULL;
}

int main(void)
{
	struct lh_error *error = put_pattern_sets();
	if (error) {
		fprintf(stderr, "store_patterns: %s\n", lh_error_message(error));
		lh_error_destroy(error);
		return 1;
	}
	return fflush(stdout) || ferror(stdout);
}
