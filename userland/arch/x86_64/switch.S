/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contexts on x86-64; arch.h says what each function does.
 *
 * A saved context, from its stack pointer up:
 *
 *	 0	MXCSR (4 bytes), x87 control word (2 bytes), unused (2 bytes)
 *	 8	r15, r14, r13, r12, rbx, rbp
 *	56	return address
 *	64	the caller's frame (its canonical frame address)
 *
 * The unwind tables of burrow_arch_switch() hold on both sides of the change
 * of stacks, because both have this layout.
 *
 * Indirect branches land on endbr64. Shadow stacks are not switched, so this
 * object is not marked as fit for them.
 */
	.text

	.globl	burrow_arch_switch
	.hidden	burrow_arch_switch
	.type	burrow_arch_switch, @function
	.p2align 4
burrow_arch_switch:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)

	/* Loading control words is dear, and they hardly ever differ. */
	movl	(%rsp), %eax
	movzwl	4(%rsp), %ecx
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	xorl	(%rsp), %eax
	xorw	4(%rsp), %cx
	andl	$0xffc0, %eax		/* not the flags of what has happened */
	orl	%ecx, %eax
	jnz	.Lcontrol
.Lloaded:
	movq	%rdx, %rax
	addq	$8, %rsp
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	ret
.Lcontrol:
	.cfi_restore_state
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	jmp	.Lloaded
	.cfi_endproc
	.size	burrow_arch_switch, . - burrow_arch_switch

/*
 * Where a new context starts: entry in rbx, pass in rax. The nop keeps this
 * function's tables in force for an unwinder that looks up the return address
 * less one of a context that has not run yet.
 */
	.type	burrow_arch_start, @function
	.p2align 4
burrow_arch_start:
	.cfi_startproc
	.cfi_undefined %rip
	.cfi_def_cfa_offset 0
	nop
.Lstart:
	endbr64
	movq	%rax, %rdi
	xorl	%ebp, %ebp
	call	*%rbx
	ud2
	.cfi_endproc
	.size	burrow_arch_start, . - burrow_arch_start

	.globl	burrow_arch_make
	.hidden	burrow_arch_make
	.type	burrow_arch_make, @function
	.p2align 4
burrow_arch_make:
	.cfi_startproc
	endbr64
	leaq	.Lstart(%rip), %rdx
	xorl	%ecx, %ecx
	movq	%rcx, -8(%rdi)
	movq	%rcx, -16(%rdi)
	leaq	-80(%rdi), %rax
	movl	$0x1f80, (%rax)		/* MXCSR at power-up */
	movl	$0x037f, 4(%rax)	/* x87 control word after finit */
	movq	%rcx, 8(%rax)
	movq	%rcx, 16(%rax)
	movq	%rcx, 24(%rax)
	movq	%rcx, 32(%rax)
	movq	%rsi, 40(%rax)
	movq	%rcx, 48(%rax)
	movq	%rdx, 56(%rax)
	ret
	.cfi_endproc
	.size	burrow_arch_make, . - burrow_arch_make

	.globl	burrow_arch_call
	.hidden	burrow_arch_call
	.type	burrow_arch_call, @function
	.p2align 4
burrow_arch_call:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	movq	%rcx, %rdi
	call	*%rdx
	leave
	.cfi_def_cfa %rsp, 8
	.cfi_restore %rbp
	ret
	.cfi_endproc
	.size	burrow_arch_call, . - burrow_arch_call

	.globl	burrow_arch_visit
	.hidden	burrow_arch_visit
	.type	burrow_arch_visit, @function
	.p2align 4
burrow_arch_visit:
	.cfi_startproc
	endbr64
	pushq	%rbx
	.cfi_def_cfa_offset 16
	.cfi_offset %rbx, -16
	movq	%rdi, %rbx
	movq	%rdx, %rdi
	.cfi_remember_state
	/* From here on the caller is whoever parked the context in rbx. */
	.cfi_def_cfa %rbx, 64
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	call	*%rsi
	.cfi_restore_state
	popq	%rbx
	.cfi_def_cfa_offset 8
	.cfi_restore %rbx
	ret
	.cfi_endproc
	.size	burrow_arch_visit, . - burrow_arch_visit

	.globl	burrow_arch_shadow_stack
	.hidden	burrow_arch_shadow_stack
	.type	burrow_arch_shadow_stack, @function
	.p2align 4
burrow_arch_shadow_stack:
	.cfi_startproc
	endbr64
	xorl	%edx, %edx
	xorl	%eax, %eax
	rdsspq	%rdx			/* a nop where there is none */
	testq	%rdx, %rdx
	setne	%al
	ret
	.cfi_endproc
	.size	burrow_arch_shadow_stack, . - burrow_arch_shadow_stack

	.section .note.GNU-stack, "", @progbits
