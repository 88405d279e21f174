/* Where a fresh stack begins (x86-64, System V ABI). L1; see ctx.h. */
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
	callq *%rax
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
