/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BURROW_DEBUG=gcverify=1: do trackers say what was written? hashes.c.
 */
#ifndef BURROW_GC_HASHES_H
#define BURROW_GC_HASHES_H

/* A cycle begins; it is over. */
void burrow_hashes_open(void);
void burrow_hashes_close(void);

/* These pages are armed from here on: what is on them is remembered. */
void burrow_hashes_take(const char *low, const char *high);

/* They were written, it is said, and are not armed again. */
void burrow_hashes_forget(const char *low, const char *high);

/*
 * In the last stop, after the last harvest: pages that have not changed are
 * forgotten. When the tracker has been asked for the others, none may be left, or
 * the program ends with a line that names it.
 */
void burrow_hashes_compare(void);
void burrow_hashes_check(const char *tracker);

#endif /* BURROW_GC_HASHES_H */
