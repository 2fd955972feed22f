// SPDX-License-Identifier: GPL-2.0
/*
 * A frame of 20 KiB of which only the lowest byte is written: it jumps over
 * more pages than one. Compiled with and without -fstack-clash-protection.
 */
char FRAME(unsigned long depth);

__attribute__((noinline)) char FRAME(unsigned long depth)
{
	volatile char bytes[20 * 1024];

	bytes[0] = (char)depth;
	if (depth)
		bytes[0] += FRAME(depth - 1);
	return bytes[0];
}
