#!/usr/bin/env bats
# The NEON kernel, compiled for AArch64 and run under qemu-user, against the scalar one.

@test "the NEON kernel gives the scalar kernel's results (AArch64, qemu-user)" {
	cd "$LEAKHUNT_ROOT" || return
	aarch64-linux-gnu-gcc -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -Iinclude -Isrc \
		-o "$BATS_TEST_TMPDIR/compare" tests/cross/compare_kernels.c src/sweep/kernel_scalar.c src/sweep/kernel_neon.c
	run qemu-aarch64 "$BATS_TEST_TMPDIR/compare"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == "2400 answers of 1 kernel are the scalar one's" ]]
}
