/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The body of descend() and descend_split(): one text, compiled twice with
 * other options, so that the two can't drift apart. NAME is the function.
 *
 * The empty asm statements make the frame something that the compiler can't do
 * without, before the call and after it: it can neither shrink the frame nor
 * turn the recursion into a loop.
 */
__attribute__((noinline)) void NAME(unsigned long frames, uint64_t *bottom)
{
	char locals[DESCEND_LOCALS];

	locals[0] = (char)frames;
	asm volatile("" : "+m"(locals));
	if (frames > 1)
		NAME(frames - 1, bottom);
	else
		*bottom = bench_ticks();
	asm volatile("" : "+m"(locals));
}
