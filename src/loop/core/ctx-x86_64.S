/* The stack switch for x86-64 (System V ABI). L1. The frame is described in ctx.h.
 *
 * It ends with ret. Alone in a loop, pop and jmp are faster (3 ns, not 11), because the
 * branch predictor's return stack knows nothing of another stack's caller. But a jmp leaves
 * that return stack one entry too deep, and then every return on the way out of the switch is
 * mispredicted: a yield was measured at 24 ns with it and at 10 ns with ret, which is right
 * whenever both tasks came here by the same path.
 *
 * mxcsr and the x87 control word are callee-saved by the ABI. They are loaded always:
 * comparing first was measured slower, as it waits for the word just stored.
 *
 * The file is not marked as fit for shadow stacks (SHSTK): a switch does not exchange
 * those.
 */
#include "loop/core/ctx.h"

#if defined(__x86_64__) && !defined(AN_CONTEXT_UCONTEXT)

	.text
	.globl an__ctx_switch
	.hidden an__ctx_switch
	.type an__ctx_switch, @function
	.p2align 4
an__ctx_switch: /* rdi: from, rsi: to */
	.cfi_startproc
	endbr64
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
	subq $8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr (%rsp)
	fnstcw 4(%rsp)

	/* Both stacks have the same frame here, so the CFI holds for either. */
	movq %rsp, (%rdi)
	movq (%rsi), %rsp

	ldmxcsr (%rsp)
	fldcw 4(%rsp)
	addq $8, %rsp
	.cfi_adjust_cfa_offset -8
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
	ret
	.cfi_endproc
	.size an__ctx_switch, . - an__ctx_switch

	/* Where a fresh stack begins: rbx is its entry, r12 the argument. It has no
	 * caller. */
	.globl an__ctx_start
	.hidden an__ctx_start
	.type an__ctx_start, @function
	.p2align 4
an__ctx_start:
	.cfi_startproc
	.cfi_undefined %rip
	.cfi_undefined %rbp
	endbr64
	movq %r12, %rdi
	callq *%rbx
	ud2
	.cfi_endproc
	.size an__ctx_start, . - an__ctx_start

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
