/*
 * cxx_main: the main function of cxx_objects, in C like that of the other samples.
 */
#include "sample.h"

void cxx_objects_step(uint64_t number);
void cxx_objects_describe(uint64_t steps, char *ret, size_t ret_bytes);

static void step(struct sample *sample)
{
	cxx_objects_step(sample->steps);
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	cxx_objects_describe(sample->steps, ret, ret_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {
		.name = "cxx_objects", .condition = "leak", .region_kind = "heap", .step = step, .describe = describe};
	return sample_main(&sample, argc, argv);
}
