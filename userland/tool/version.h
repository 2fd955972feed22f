/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BURROW_TOOL_VERSION_H
#define BURROW_TOOL_VERSION_H

#define BURROW_VERSION "0.1.0"

#endif /* BURROW_TOOL_VERSION_H */
