/*
 * machine_code: what the code of the smallest functions does. Input: bytes of the target.
 */
#include "leakhunt/base.h"

#include <string.h>

/* [f3 0f 1e fa endbr64] 48 8d 05 disp32 lea disp32(%rip),%rax; c3 ret */
bool lh_code_returned_address(const uint8_t *code, size_t bytes, uint64_t addr, uint64_t *ret)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa}, lea[] = {0x48, 0x8d, 0x05};
	size_t at = bytes >= 4 && memcmp(code, endbr64, 4) == 0 ? 4 : 0;
	if (bytes - at < 8 || memcmp(code + at, lea, 3) != 0 || code[at + 7] != 0xc3)
		return false;
	int32_t displacement;
	memcpy(&displacement, code + at + 3, sizeof(displacement));
	*ret = addr + at + 7 + (uint64_t)(int64_t)displacement;
	return true;
}
