/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contexts on arm64; arch.h says what each function does.
 *
 * A saved context, from its stack pointer up:
 *
 *	  0	x19 ... x28, x29 (frame pointer), x30 (return address)
 *	 96	d8 ... d15
 *	160	FPCR, 8 bytes unused
 *	176	the caller's frame (its canonical frame address)
 */
	.text

	.globl	burrow_arch_switch
	.hidden	burrow_arch_switch
	.type	burrow_arch_switch, %function
	.p2align 4
burrow_arch_switch:
	.cfi_startproc
	hint	#34			/* bti c */
	sub	sp, sp, #176
	.cfi_def_cfa_offset 176
	stp	x19, x20, [sp, #0]
	.cfi_offset x19, -176
	.cfi_offset x20, -168
	stp	x21, x22, [sp, #16]
	.cfi_offset x21, -160
	.cfi_offset x22, -152
	stp	x23, x24, [sp, #32]
	.cfi_offset x23, -144
	.cfi_offset x24, -136
	stp	x25, x26, [sp, #48]
	.cfi_offset x25, -128
	.cfi_offset x26, -120
	stp	x27, x28, [sp, #64]
	.cfi_offset x27, -112
	.cfi_offset x28, -104
	stp	x29, x30, [sp, #80]
	.cfi_offset x29, -96
	.cfi_offset x30, -88
	stp	d8, d9, [sp, #96]
	.cfi_offset b8, -80
	.cfi_offset b9, -72
	stp	d10, d11, [sp, #112]
	.cfi_offset b10, -64
	.cfi_offset b11, -56
	stp	d12, d13, [sp, #128]
	.cfi_offset b12, -48
	.cfi_offset b13, -40
	stp	d14, d15, [sp, #144]
	.cfi_offset b14, -32
	.cfi_offset b15, -24
	mrs	x9, fpcr
	str	x9, [sp, #160]

	mov	x9, sp
	str	x9, [x0]
	mov	sp, x1
	mov	x0, x2

	ldr	x9, [sp, #160]
	msr	fpcr, x9
	ldp	d14, d15, [sp, #144]
	ldp	d12, d13, [sp, #128]
	ldp	d10, d11, [sp, #112]
	ldp	d8, d9, [sp, #96]
	ldp	x29, x30, [sp, #80]
	ldp	x27, x28, [sp, #64]
	ldp	x25, x26, [sp, #48]
	ldp	x23, x24, [sp, #32]
	ldp	x21, x22, [sp, #16]
	ldp	x19, x20, [sp, #0]
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	.cfi_restore b8
	.cfi_restore b9
	.cfi_restore b10
	.cfi_restore b11
	.cfi_restore b12
	.cfi_restore b13
	.cfi_restore b14
	.cfi_restore b15
	add	sp, sp, #176
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	burrow_arch_switch, . - burrow_arch_switch

/*
 * Where a new context starts: entry in x19, pass in x0. The nop keeps this
 * function's tables in force for an unwinder that looks up the return address
 * less one of a context that has not run yet.
 */
	.type	burrow_arch_start, %function
	.p2align 4
burrow_arch_start:
	.cfi_startproc
	.cfi_undefined x30
	nop
.Lstart:
	hint	#36			/* bti j */
	blr	x19
	brk	#1
	.cfi_endproc
	.size	burrow_arch_start, . - burrow_arch_start

	.globl	burrow_arch_make
	.hidden	burrow_arch_make
	.type	burrow_arch_make, %function
	.p2align 4
burrow_arch_make:
	.cfi_startproc
	hint	#34
	sub	x0, x0, #192
	adr	x9, .Lstart
	stp	x1, xzr, [x0, #0]
	stp	xzr, xzr, [x0, #16]
	stp	xzr, xzr, [x0, #32]
	stp	xzr, xzr, [x0, #48]
	stp	xzr, xzr, [x0, #64]
	stp	xzr, x9, [x0, #80]
	stp	xzr, xzr, [x0, #96]
	stp	xzr, xzr, [x0, #112]
	stp	xzr, xzr, [x0, #128]
	stp	xzr, xzr, [x0, #144]
	stp	xzr, xzr, [x0, #160]
	stp	xzr, xzr, [x0, #176]
	ret
	.cfi_endproc
	.size	burrow_arch_make, . - burrow_arch_make

	.globl	burrow_arch_call
	.hidden	burrow_arch_call
	.type	burrow_arch_call, %function
	.p2align 4
burrow_arch_call:
	.cfi_startproc
	hint	#34
	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	mov	x29, sp
	.cfi_def_cfa_register x29
	str	x29, [x0]
	mov	sp, x1
	mov	x0, x3
	blr	x2
	mov	sp, x29
	.cfi_def_cfa_register sp
	ldp	x29, x30, [sp], #16
	.cfi_def_cfa_offset 0
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	burrow_arch_call, . - burrow_arch_call

	.globl	burrow_arch_visit
	.hidden	burrow_arch_visit
	.type	burrow_arch_visit, %function
	.p2align 4
burrow_arch_visit:
	.cfi_startproc
	hint	#34
	stp	x19, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x19, -16
	.cfi_offset x30, -8
	mov	x19, x0
	mov	x0, x2
	.cfi_remember_state
	/* From here on the caller is whoever parked the context in x19. */
	.cfi_def_cfa x19, 176
	.cfi_offset x19, -176
	.cfi_offset x20, -168
	.cfi_offset x21, -160
	.cfi_offset x22, -152
	.cfi_offset x23, -144
	.cfi_offset x24, -136
	.cfi_offset x25, -128
	.cfi_offset x26, -120
	.cfi_offset x27, -112
	.cfi_offset x28, -104
	.cfi_offset x29, -96
	.cfi_offset x30, -88
	.cfi_offset b8, -80
	.cfi_offset b9, -72
	.cfi_offset b10, -64
	.cfi_offset b11, -56
	.cfi_offset b12, -48
	.cfi_offset b13, -40
	.cfi_offset b14, -32
	.cfi_offset b15, -24
	blr	x1
	.cfi_restore_state
	ldp	x19, x30, [sp], #16
	.cfi_def_cfa_offset 0
	.cfi_restore x19
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	burrow_arch_visit, . - burrow_arch_visit

	.globl	burrow_arch_shadow_stack
	.hidden	burrow_arch_shadow_stack
	.type	burrow_arch_shadow_stack, %function
	.p2align 4
burrow_arch_shadow_stack:
	.cfi_startproc
	hint	#34
	mov	w0, #0			/* guarded control stacks: not yet seen */
	ret
	.cfi_endproc
	.size	burrow_arch_shadow_stack, . - burrow_arch_shadow_stack

	.section .note.GNU-stack, "", %progbits
