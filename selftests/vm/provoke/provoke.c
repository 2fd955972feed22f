// SPDX-License-Identifier: GPL-2.0
/*
 * A module that misbehaves as it is told, in the place of the real one: tests
 * of the harness load it to see that each kind of trouble in a kernel is a
 * failure of the run.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *what = "";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "warn, oops, spin, refuse, hold or leak");

static int __init provoke_init(void)
{
	WARN(!strcmp(what, "warn"), "provoked\n");
	if (!strcmp(what, "oops"))
		WRITE_ONCE(*(volatile int *)8, 1);
	while (!strcmp(what, "spin"))
		cpu_relax();
	if (!strcmp(what, "refuse"))
		return -ENODEV;
	if (!strcmp(what, "hold"))
		__module_get(THIS_MODULE);
	if (!strcmp(what, "leak"))
		pr_info("%d bytes lost\n", kmalloc(100, GFP_KERNEL) ? 100 : 0);
	return 0;
}
module_init(provoke_init);

static void __exit provoke_exit(void)
{
}
module_exit(provoke_exit);

MODULE_DESCRIPTION("Provokes trouble, for tests of the test harness");
MODULE_LICENSE("GPL");
