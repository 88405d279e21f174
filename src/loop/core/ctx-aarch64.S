/* Where a fresh stack begins, and the switch as a function (aarch64, AAPCS64). L1; see
 * ctx.h. It ends with ret: an indirect branch would need a landing pad behind each call
 * where the code is built for BTI. */
#include "loop/core/ctx.h"

#if defined(__aarch64__) && !defined(AN_CONTEXT_UCONTEXT)

#define BTI_C hint #34
#define BTI_J hint #36
#define FRAME 160

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

	.globl an__ctx_leave_to
	.hidden an__ctx_leave_to
	.type an__ctx_leave_to, %function
	.p2align 4
an__ctx_leave_to: /* x0: from, x1: to */
	.cfi_startproc
	BTI_C
	sub sp, sp, #FRAME
	.cfi_adjust_cfa_offset FRAME
	stp x19, x20, [sp, #0]
	stp x21, x22, [sp, #16]
	stp x23, x24, [sp, #32]
	stp x25, x26, [sp, #48]
	stp x27, x28, [sp, #64]
	stp x29, x30, [sp, #80]
	stp d8, d9, [sp, #96]
	stp d10, d11, [sp, #112]
	stp d12, d13, [sp, #128]
	stp d14, d15, [sp, #144]
	.cfi_rel_offset x19, 0
	.cfi_rel_offset x20, 8
	.cfi_rel_offset x21, 16
	.cfi_rel_offset x22, 24
	.cfi_rel_offset x23, 32
	.cfi_rel_offset x24, 40
	.cfi_rel_offset x25, 48
	.cfi_rel_offset x26, 56
	.cfi_rel_offset x27, 64
	.cfi_rel_offset x28, 72
	.cfi_rel_offset x29, 80
	.cfi_rel_offset x30, 88
	.cfi_rel_offset d8, 96
	.cfi_rel_offset d9, 104
	.cfi_rel_offset d10, 112
	.cfi_rel_offset d11, 120
	.cfi_rel_offset d12, 128
	.cfi_rel_offset d13, 136
	.cfi_rel_offset d14, 144
	.cfi_rel_offset d15, 152
	mov x3, sp
	adr x4, 2f
	mrs x5, fpcr
	stp x3, x4, [x0]
	str x5, [x0, #24]

	/* Writing fpcr is slow and seldom needed. The CFI: see AN__CTX_CFI_NEXT. */
	ldp x3, x4, [x1]
	.cfi_remember_state
	.cfi_def_cfa x3, 0
	.cfi_escape 0x10, 30, 2, 0x71, 8
	.cfi_escape 0x10, 29, 2, 0x71, 16
	ldr x6, [x1, #24]
	mov sp, x3
	cmp x5, x6
	b.eq 1f
	msr fpcr, x6
1:	br x4
	.cfi_restore_state
	nop
2:	BTI_J /* x1: the context that is resumed */
	ldp d8, d9, [sp, #96]
	ldp d10, d11, [sp, #112]
	ldp d12, d13, [sp, #128]
	ldp d14, d15, [sp, #144]
	ldp x19, x20, [sp, #0]
	ldp x21, x22, [sp, #16]
	ldp x23, x24, [sp, #32]
	ldp x25, x26, [sp, #48]
	ldp x27, x28, [sp, #64]
	ldp x29, x30, [sp, #80]
	ldr w0, [x1, #AN__CTX_RESULT]
	add sp, sp, #FRAME
	.cfi_def_cfa sp, 0
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
	.cfi_restore d8
	.cfi_restore d9
	.cfi_restore d10
	.cfi_restore d11
	.cfi_restore d12
	.cfi_restore d13
	.cfi_restore d14
	.cfi_restore d15
	ret
	.cfi_endproc
	.size an__ctx_leave_to, . - an__ctx_leave_to

	/* While fn runs, what is known of this function's caller is made up: the parked
	 * frame, which lies at x20. */
	.globl an__ctx_visit
	.hidden an__ctx_visit
	.type an__ctx_visit, %function
	.p2align 4
an__ctx_visit: /* x0: the context, x1: fn, x2: its argument */
	.cfi_startproc
	BTI_C
	stp x29, x30, [sp, #-32]!
	.cfi_def_cfa_offset 32
	.cfi_offset x29, -32
	.cfi_offset x30, -24
	stp x19, x20, [sp, #16]
	.cfi_offset x19, -16
	.cfi_offset x20, -8
	mov x19, sp
	.cfi_def_cfa_register x19
	ldp x20, x3, [x0]
	ldr x4, [x0, #16]
	mov sp, x20
	stp x3, x4, [sp, #-16]!
	.cfi_remember_state
	.cfi_def_cfa x20, 0
	.cfi_offset x30, -16
	.cfi_offset x29, -8
	mov x0, x2
	blr x1
	mov sp, x19
	.cfi_restore_state
	.cfi_def_cfa_register sp
	ldp x19, x20, [sp, #16]
	.cfi_restore x19
	.cfi_restore x20
	ldp x29, x30, [sp], #32
	.cfi_def_cfa_offset 0
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size an__ctx_visit, . - an__ctx_visit

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
