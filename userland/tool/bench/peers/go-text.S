/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The text of the Go program, so that the tool can build it wherever there is
 * a `go`. go.c writes it out. Assembled in userland/.
 */
	.macro	text name file
	.global	go_text_\name, go_text_\name\()_end
	.hidden	go_text_\name, go_text_\name\()_end
go_text_\name:
	.incbin	"tool/bench/peers/go/\file"
go_text_\name\()_end:
	.endm

	.section .rodata
	text	main	main.go
	text	mod	go.mod
	text	asm	descend_amd64.s

	.section .note.GNU-stack, "", %progbits
