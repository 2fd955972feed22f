// SPDX-License-Identifier: GPL-2.0

#include "textflag.h"
#include "funcdata.h"

// func ticks() uint64
TEXT ·ticks(SB), NOSPLIT, $0-8
	MFENCE
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func descend(frames uint64)
TEXT ·descend(SB), 0, $992-8
	NO_LOCAL_POINTERS
	MOVQ frames+0(FP), AX
	MOVB AX, 8(SP)
	DECQ AX
	JZ atbottom
	MOVQ AX, 0(SP)
	CALL ·descend(SB)
	RET
atbottom:
	MFENCE
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ DX, AX
	MOVQ AX, ·bottom(SB)
	RET
