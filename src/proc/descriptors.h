/*
 * descriptors: the open files of a process, counted by what they are. Private to proc.
 */
#ifndef LEAKHUNT_PROC_DESCRIPTORS_H
#define LEAKHUNT_PROC_DESCRIPTORS_H

#include "leakhunt/holdings.h"
#include "leakhunt/regions.h"
#include "process.h"

/* What is known of file systems, kept between readings. Zero-initialized is empty. */
struct lh_memory_devices {
	struct {
		uint64_t device;
		bool is_memory;
	} items[16];
	size_t count;
};

/* Sets the values of descriptors in *ret. Values that cannot be read stay unchanged. */
void lh_descriptors_count(const struct lh_process *process, const struct lh_region_list *list,
			  struct lh_memory_devices *devices, struct lh_holdings *ret);

#define LH_DESCRIPTORS_SEEN_MAX 16384

#endif
