// SPDX-License-Identifier: GPL-2.0
/* A library that tests load and unload, with a pointer in its static data. */
void *plugin_root;
