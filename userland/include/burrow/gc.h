/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that is collected. Included by <burrow.h>.
 *
 * Objects are never freed by the program and never move; they are zeroed, and
 * stay for as long as a pointer to them, or into them, can be found: from the
 * stacks and registers of goroutines, from the program's static data and that of
 * its libraries, from other objects that stay. (One past the end is not into
 * it.) Pointers in malloc'd memory and in thread-local variables don't count.
 * They end with the runtime.
 *
 * What a pointer in an object is, its allocation says: burrow_new() goes by a
 * type, burrow_alloc() takes each aligned word for one that may be,
 * burrow_alloc_noscan() says that there is none.
 *
 * For goroutines, in burrow_blocking() too, but not in burrow_blocking_nogc().
 * Objects are aligned to 16 bytes. Where there is no memory, or the limit on it
 * is met, and a collection did not help, the program ends with a line; the
 * functions with try in their names return NULL, and so they do from threads
 * that run no goroutine, where the others end the program too. A size of 0 gives
 * a pointer like any other.
 */
#ifndef BURROW_API_GC_H
#define BURROW_API_GC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * struct burrow_type_field - pointers that lie side by side in a type
 * @offset:	of the first, in bytes
 * @bytes:	of all of them
 */
struct burrow_type_field {
	size_t offset;
	size_t bytes;
};

/**
 * struct burrow_type_cell - what the library notes of a type
 * @opaque:	the library's; all zero at first
 */
struct burrow_type_cell {
	uint64_t opaque[2];
};

/**
 * struct burrow_type - where the pointers of a type are
 * @size:	sizeof of the type
 * @tail:	offset of its flexible array member; @size without one
 * @tail_size:	bytes of an element of that; 0 without one
 * @fields:	its pointers; those from @tail on are of the first element, and
 *		stand for those of all
 * @nr_fields:	how many
 * @name:	for messages
 * @cell:	writable, zeroed memory that belongs to this type
 * @text:	the type and its fields as they were written, with commas between,
 *		for messages; or NULL
 *
 * BURROW_TYPE() and BURROW_TYPE_FLEX() make it.
 */
struct burrow_type {
	size_t size;
	size_t tail;
	size_t tail_size;
	const struct burrow_type_field *fields;
	size_t nr_fields;
	const char *name;
	struct burrow_type_cell *cell;
	const char *text;
};

/* clang-format off */
/* For each of up to 64 fields F of T: where its pointers are. */
#define BURROW_TYPE_F(T, f)						\
	{								\
		offsetof(T, f) + 0 * sizeof(char[			\
			offsetof(T, f) % sizeof(void *) ||		\
			sizeof(((T *)0)->f) % sizeof(void *) ? -1 : 1]),	\
		sizeof(((T *)0)->f)					\
	},
#define BURROW_TYPE_0(T)
#define BURROW_TYPE_1(T, f) BURROW_TYPE_F(T, f)
#define BURROW_TYPE_2(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_1(T, __VA_ARGS__)
#define BURROW_TYPE_3(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_2(T, __VA_ARGS__)
#define BURROW_TYPE_4(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_3(T, __VA_ARGS__)
#define BURROW_TYPE_5(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_4(T, __VA_ARGS__)
#define BURROW_TYPE_6(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_5(T, __VA_ARGS__)
#define BURROW_TYPE_7(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_6(T, __VA_ARGS__)
#define BURROW_TYPE_8(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_7(T, __VA_ARGS__)
#define BURROW_TYPE_9(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_8(T, __VA_ARGS__)
#define BURROW_TYPE_10(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_9(T, __VA_ARGS__)
#define BURROW_TYPE_11(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_10(T, __VA_ARGS__)
#define BURROW_TYPE_12(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_11(T, __VA_ARGS__)
#define BURROW_TYPE_13(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_12(T, __VA_ARGS__)
#define BURROW_TYPE_14(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_13(T, __VA_ARGS__)
#define BURROW_TYPE_15(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_14(T, __VA_ARGS__)
#define BURROW_TYPE_16(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_15(T, __VA_ARGS__)
#define BURROW_TYPE_17(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_16(T, __VA_ARGS__)
#define BURROW_TYPE_18(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_17(T, __VA_ARGS__)
#define BURROW_TYPE_19(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_18(T, __VA_ARGS__)
#define BURROW_TYPE_20(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_19(T, __VA_ARGS__)
#define BURROW_TYPE_21(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_20(T, __VA_ARGS__)
#define BURROW_TYPE_22(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_21(T, __VA_ARGS__)
#define BURROW_TYPE_23(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_22(T, __VA_ARGS__)
#define BURROW_TYPE_24(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_23(T, __VA_ARGS__)
#define BURROW_TYPE_25(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_24(T, __VA_ARGS__)
#define BURROW_TYPE_26(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_25(T, __VA_ARGS__)
#define BURROW_TYPE_27(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_26(T, __VA_ARGS__)
#define BURROW_TYPE_28(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_27(T, __VA_ARGS__)
#define BURROW_TYPE_29(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_28(T, __VA_ARGS__)
#define BURROW_TYPE_30(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_29(T, __VA_ARGS__)
#define BURROW_TYPE_31(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_30(T, __VA_ARGS__)
#define BURROW_TYPE_32(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_31(T, __VA_ARGS__)
#define BURROW_TYPE_33(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_32(T, __VA_ARGS__)
#define BURROW_TYPE_34(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_33(T, __VA_ARGS__)
#define BURROW_TYPE_35(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_34(T, __VA_ARGS__)
#define BURROW_TYPE_36(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_35(T, __VA_ARGS__)
#define BURROW_TYPE_37(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_36(T, __VA_ARGS__)
#define BURROW_TYPE_38(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_37(T, __VA_ARGS__)
#define BURROW_TYPE_39(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_38(T, __VA_ARGS__)
#define BURROW_TYPE_40(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_39(T, __VA_ARGS__)
#define BURROW_TYPE_41(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_40(T, __VA_ARGS__)
#define BURROW_TYPE_42(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_41(T, __VA_ARGS__)
#define BURROW_TYPE_43(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_42(T, __VA_ARGS__)
#define BURROW_TYPE_44(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_43(T, __VA_ARGS__)
#define BURROW_TYPE_45(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_44(T, __VA_ARGS__)
#define BURROW_TYPE_46(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_45(T, __VA_ARGS__)
#define BURROW_TYPE_47(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_46(T, __VA_ARGS__)
#define BURROW_TYPE_48(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_47(T, __VA_ARGS__)
#define BURROW_TYPE_49(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_48(T, __VA_ARGS__)
#define BURROW_TYPE_50(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_49(T, __VA_ARGS__)
#define BURROW_TYPE_51(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_50(T, __VA_ARGS__)
#define BURROW_TYPE_52(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_51(T, __VA_ARGS__)
#define BURROW_TYPE_53(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_52(T, __VA_ARGS__)
#define BURROW_TYPE_54(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_53(T, __VA_ARGS__)
#define BURROW_TYPE_55(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_54(T, __VA_ARGS__)
#define BURROW_TYPE_56(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_55(T, __VA_ARGS__)
#define BURROW_TYPE_57(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_56(T, __VA_ARGS__)
#define BURROW_TYPE_58(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_57(T, __VA_ARGS__)
#define BURROW_TYPE_59(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_58(T, __VA_ARGS__)
#define BURROW_TYPE_60(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_59(T, __VA_ARGS__)
#define BURROW_TYPE_61(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_60(T, __VA_ARGS__)
#define BURROW_TYPE_62(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_61(T, __VA_ARGS__)
#define BURROW_TYPE_63(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_62(T, __VA_ARGS__)
#define BURROW_TYPE_64(T, f, ...) BURROW_TYPE_F(T, f) BURROW_TYPE_63(T, __VA_ARGS__)
#define BURROW_TYPE_PICK( \
	a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, \
	a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, \
	a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
	a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, \
	a54, a55, a56, a57, a58, a59, a60, a61, a62, a63, a64, n, ...) n
#define BURROW_TYPE_COUNT(...) BURROW_TYPE_PICK(__VA_ARGS__, \
	64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, \
	48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, \
	32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, \
	16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0)
#define BURROW_TYPE_GLUE(a, b) a##b
#define BURROW_TYPE_CALL(n, ...) BURROW_TYPE_GLUE(BURROW_TYPE_, n)(__VA_ARGS__)
#define BURROW_TYPE_FIELDS(...) \
	BURROW_TYPE_CALL(BURROW_TYPE_COUNT(__VA_ARGS__), __VA_ARGS__)
#define BURROW_TYPE_FIRST(...) BURROW_TYPE_FIRST_(__VA_ARGS__, 0)
#define BURROW_TYPE_FIRST_(T, ...) T
#define BURROW_TYPE_DEFINE(name, size, tail, tail_size, ...)		\
	static struct burrow_type_cell name##_cell;			\
	static const struct burrow_type_field name##_fields[] = {	\
		{ 0, 0 }, BURROW_TYPE_FIELDS(__VA_ARGS__)		\
	};								\
	static const struct burrow_type name				\
		__attribute__((unused)) = {				\
		size, tail, tail_size, name##_fields + 1,		\
		sizeof(name##_fields) / sizeof(name##_fields[0]) - 1,	\
		#name, &name##_cell, #__VA_ARGS__			\
	}

/**
 * BURROW_TYPE() - say where the pointers of a type are
 * @name:	of the descriptor, a static const struct burrow_type
 * @...:	the type, then its fields that are pointers, or arrays of them; with
 *		dots for those of structs in it; at most 64; none is allowed
 *
 * At file or block scope. A field that is not named is taken to hold no pointer
 * to collected memory.
 */
#define BURROW_TYPE(name, ...)						\
	BURROW_TYPE_DEFINE(name, sizeof(BURROW_TYPE_FIRST(__VA_ARGS__)),	\
			   sizeof(BURROW_TYPE_FIRST(__VA_ARGS__)), 0,	\
			   __VA_ARGS__)

/**
 * BURROW_TYPE_FLEX() - the same for one that ends in a flexible array
 * @name:	of the descriptor
 * @T:		the type
 * @flex:	its last member, an array of no size
 * @...:	fields that are pointers; those of the array's elements as of
 *		element 0: items[0], items[0].next; at least one
 */
#define BURROW_TYPE_FLEX(name, T, flex, ...)				\
	BURROW_TYPE_DEFINE(name, sizeof(T), offsetof(T, flex),		\
			   sizeof(((T *)0)->flex[0]), T, __VA_ARGS__)
/* clang-format on */

/**
 * burrow_new() - make an object of a type
 * @type:	of the object
 *
 * Return: the object.
 */
void *burrow_new(const struct burrow_type *type) __attribute__((malloc));

/**
 * burrow_try_new() - the same, where memory may be short
 * @type:	of the object
 *
 * Return: the object, or NULL.
 */
void *burrow_try_new(const struct burrow_type *type) __attribute__((malloc));

/**
 * burrow_new_array() - make an array of objects of a type
 * @type:	of the elements
 * @n:		how many
 *
 * Return: the first one.
 */
void *burrow_new_array(const struct burrow_type *type, size_t n)
	__attribute__((malloc));

/**
 * burrow_try_new_array() - the same, where memory may be short
 * @type:	of the elements
 * @n:		how many
 *
 * Return: the first one, or NULL: also if it is more than memory can be.
 */
void *burrow_try_new_array(const struct burrow_type *type, size_t n)
	__attribute__((malloc));

/**
 * burrow_new_flex() - make an object that ends in a flexible array
 * @type:	of the object, made by BURROW_TYPE_FLEX()
 * @n:		elements of the array
 *
 * Return: the object.
 */
void *burrow_new_flex(const struct burrow_type *type, size_t n)
	__attribute__((malloc));

/**
 * burrow_try_new_flex() - the same, where memory may be short
 * @type:	of the object
 * @n:		elements of the array
 *
 * Return: the object, or NULL: also if it is more than memory can be.
 */
void *burrow_try_new_flex(const struct burrow_type *type, size_t n)
	__attribute__((malloc));

/**
 * burrow_alloc() - memory whose words may be pointers
 * @size:	bytes
 *
 * Each word in it that looks like a pointer to an object keeps that one.
 *
 * Return: the memory.
 */
void *burrow_alloc(size_t size) __attribute__((malloc, alloc_size(1)));

/**
 * burrow_try_alloc() - the same, where memory may be short
 * @size:	bytes
 *
 * Return: the memory, or NULL.
 */
void *burrow_try_alloc(size_t size) __attribute__((malloc, alloc_size(1)));

/**
 * burrow_alloc_noscan() - memory that will hold no pointers
 * @size:	bytes
 *
 * Return: the memory.
 */
void *burrow_alloc_noscan(size_t size) __attribute__((malloc, alloc_size(1)));

/**
 * burrow_try_alloc_noscan() - the same, where memory may be short
 * @size:	bytes
 *
 * Return: the memory, or NULL.
 */
void *burrow_try_alloc_noscan(size_t size)
	__attribute__((malloc, alloc_size(1)));

#include <burrow/alloc_inline.h>

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* BURROW_API_GC_H */
