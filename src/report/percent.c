/*
 * percent: shares of bytes, as reports print them.
 */
#include "report_strings.h"

double lh_percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}
