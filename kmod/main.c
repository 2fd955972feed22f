// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading. What is set up here is set up once: limits, what the
 * shrinkers need, debugfs,
 * and last the device, since from then on anybody may open it. Exit undoes it
 * in mirrored order; open files keep the module until the last context is gone.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "burrow.h"

static struct miscdevice burrow_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "burrow",
	.fops = &burrow_context_fops,
	.mode = 0666,
};

static int __init burrow_init(void)
{
	int err;

	burrow_pool_init_limits();
	err = burrow_shrink_init();
	if (err)
		return err;
	burrow_stats_init();
	err = misc_register(&burrow_device);
	if (err) {
		burrow_stats_exit();
		burrow_shrink_exit();
	}
	return err;
}

static void __exit burrow_exit(void)
{
	misc_deregister(&burrow_device);
	burrow_stats_exit();
	burrow_shrink_exit();
}

module_init(burrow_init);
module_exit(burrow_exit);

MODULE_DESCRIPTION("Arenas for goroutine stacks and a collected heap");
MODULE_AUTHOR("Burrow maintainers");
MODULE_VERSION(BURROW_RELEASE);
MODULE_LICENSE("GPL");
