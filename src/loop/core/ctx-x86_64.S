/* Where a fresh stack begins, and the switch as a function (x86-64, System V ABI). L1;
 * see ctx.h. */
#include "loop/core/ctx.h"

#if defined(__x86_64__) && !defined(AN_CONTEXT_UCONTEXT)

	.text
	.globl an__ctx_start
	.hidden an__ctx_start
	.type an__ctx_start, @function
	.p2align 4
an__ctx_start: /* at the stack pointer: the argument, the entry, two zeros */
	.cfi_startproc
	.cfi_undefined %rip
	.cfi_undefined %rbp
	endbr64
	popq %rdi
	popq %rax
	xorl %ebp, %ebp
	callq *%rax
	ud2
	.cfi_endproc
	.size an__ctx_start, . - an__ctx_start

	.globl an__ctx_leave_to
	.hidden an__ctx_leave_to
	.type an__ctx_leave_to, @function
	.p2align 4
an__ctx_leave_to: /* rdi: from, rsi: to; only jumped to directly */
	.cfi_startproc
	pushq %rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq %r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq %r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq %r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq %r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	leaq 1f(%rip), %rax
	movq %rsp, (%rdi)
	movq %rax, 8(%rdi)

	/* See AN__CTX_CFI_NEXT in ctx.h. */
	movq (%rsi), %rsp
	.cfi_remember_state
	.cfi_def_cfa %rsp, 0
	.cfi_escape 0x10, 16, 2, 0x74, 8
	.cfi_escape 0x10, 6, 2, 0x74, 16
	jmpq *8(%rsi)
	.cfi_restore_state
	nop
	.p2align 5 /* a target at the end of a line of the cache costs 3 ns */
1:	endbr64 /* rsi: the context that is resumed */
	popq %r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq %r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq %r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq %r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq %rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq %rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	movl AN__CTX_RESULT(%rsi), %eax
	popq %rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rcx
	notrack jmpq *%rcx
	.cfi_endproc
	.size an__ctx_leave_to, . - an__ctx_leave_to

	/* While fn runs, what is known of this function's caller is made up: the parked
	 * frame, which lies at r12. The red zone below it stays as it is. */
	.globl an__ctx_visit
	.hidden an__ctx_visit
	.type an__ctx_visit, @function
	.p2align 4
an__ctx_visit: /* rdi: the context, rsi: fn, rdx: its argument */
	.cfi_startproc
	endbr64
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq %r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	movq %rsp, %rbx
	.cfi_def_cfa_register %rbx
	movq (%rdi), %r12
	movq %r12, %rsp
	leaq -128(%rsp), %rsp
	pushq 16(%rdi)
	pushq 8(%rdi)
	.cfi_remember_state
	.cfi_def_cfa %r12, 0
	.cfi_offset %rbp, -136
	.cfi_offset %rip, -144
	andq $-16, %rsp
	movq %rdx, %rdi
	callq *%rsi
	movq %rbx, %rsp
	.cfi_restore_state
	.cfi_def_cfa_register %rsp
	popq %r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq %rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
	.cfi_endproc
	.size an__ctx_visit, . - an__ctx_visit

#if defined(__CET__) && (__CET__ & 1)
	/* GNU_PROPERTY_X86_FEATURE_1_AND with IBT alone. */
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000002, 4, 1, 0
#endif

#endif

	.section .note.GNU-stack, "", %progbits
