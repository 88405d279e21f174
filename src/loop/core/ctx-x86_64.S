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

	/* Who is parked here has the same frame, so the CFI holds for it, too. */
	movq (%rsi), %rsp
	jmpq *8(%rsi)
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
