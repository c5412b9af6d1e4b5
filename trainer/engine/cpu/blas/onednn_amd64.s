//go:build linux || darwin

#include "go_asm.h"
#include "textflag.h"

GLOBL ·onednnTrampoline(SB), NOPTR|RODATA, $8
DATA ·onednnTrampoline(SB)/8, $onednnCall(SB)

// onednnCall(args *onednnArgs) has the C calling convention of System V and runs on the system stack. It spreads the
// struct over the registers and the stack as dnnl_sgemm wants them:
// (transa, transb, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc).
// 48 bytes of frame, the saved BP and the return address keep the stack aligned to 16 bytes at the call.
TEXT onednnCall(SB), NOSPLIT, $48
	MOVQ DI, R11
	MOVQ onednnArgs_lda(R11), AX
	MOVQ AX, 0(SP)
	MOVQ onednnArgs_b(R11), AX
	MOVQ AX, 8(SP)
	MOVQ onednnArgs_ldb(R11), AX
	MOVQ AX, 16(SP)
	MOVQ onednnArgs_c(R11), AX
	MOVQ AX, 24(SP)
	MOVQ onednnArgs_ldc(R11), AX
	MOVQ AX, 32(SP)
	MOVQ onednnArgs_transA(R11), DI
	MOVQ onednnArgs_transB(R11), SI
	MOVQ onednnArgs_m(R11), DX
	MOVQ onednnArgs_n(R11), CX
	MOVQ onednnArgs_k(R11), R8
	MOVQ onednnArgs_a(R11), R9
	MOVSS onednnArgs_alpha(R11), X0
	MOVSS onednnArgs_beta(R11), X1
	MOVQ onednnArgs_fn(R11), R11
	CALL R11
	RET
