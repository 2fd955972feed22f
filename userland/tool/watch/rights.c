// SPDX-License-Identifier: GPL-2.0
/*
 * Which rights are missing for BPF, and what works without. See watch.h.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../sysfile.h"
#include "../tool.h"
#include "watch.h"

/* linux/capability.h; CAP_SYS_ADMIN stands for the others. */
#define SYS_ADMIN 21
#define PERFMON 38
#define BPF 39

static bool has(uint64_t caps, int cap)
{
	return caps >> cap & 1;
}

void rights_say(void)
{
	uint64_t caps = 0;
	char text[64];

	if (!sysfile_field("/proc/self/status", "CapEff", text, sizeof(text)))
		caps = strtoull(text, NULL, 16);
	if (has(caps, SYS_ADMIN) || (has(caps, BPF) && has(caps, PERFMON)))
		tool_say(
			"BPF is refused although this process has CAP_BPF and CAP_PERFMON: a container's filter, or kernel lockdown");
	else
		tool_say(
			"watching a process takes BPF, and this process lacks%s%s (root has them)",
			has(caps, BPF) ? "" : " CAP_BPF",
			has(caps, PERFMON) ? "" : " CAP_PERFMON");
	tool_say("what works without: burrow doctor, burrow bench, gdb;");
	tool_say(
		"kill -QUIT PID, a dump of all goroutines, which ends the program;");
	tool_say(
		"BURROW_DEBUG=schedtrace=1000, the scheduler's figures each second");
}
