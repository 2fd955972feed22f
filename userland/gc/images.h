/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Static data of the program and of its shared libraries.
 */
#ifndef BURROW_IMAGES_H
#define BURROW_IMAGES_H

#include "roots.h"

/*
 * Calls @fn while no library comes or goes; inside of it burrow_images_each()
 * lists what they have in writable memory. One caller at a time.
 */
void burrow_images_hold(void (*fn)(void *arg), void *arg);
void burrow_images_each(burrow_root_fn *fn, void *arg);

#endif /* BURROW_IMAGES_H */
