/* Where a fresh stack begins (aarch64, AAPCS64). L1; see ctx.h. */
#include "loop/core/ctx.h"

#if defined(__aarch64__) && !defined(AN_CONTEXT_UCONTEXT)

#define BTI_J hint #36

	.text
	.globl an__ctx_start
	.hidden an__ctx_start
	.type an__ctx_start, %function
	.p2align 4
an__ctx_start: /* at the stack pointer: the argument, the entry, two zeros */
	.cfi_startproc
	.cfi_undefined x30
	BTI_J
	ldp x0, x9, [sp], #16
	mov x29, #0
	mov x30, #0
	blr x9
	brk #1
	.cfi_endproc
	.size an__ctx_start, . - an__ctx_start

#ifdef __ARM_FEATURE_BTI_DEFAULT
	/* GNU_PROPERTY_AARCH64_FEATURE_1_AND with BTI. */
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000000, 4, 1, 0
#endif

#endif

	.section .note.GNU-stack, "", %progbits
