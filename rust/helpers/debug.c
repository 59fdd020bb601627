// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters that only a module built with ROVL_DEBUG=1 has: see
 * rust/vfs/mapping/debug.rs for the steps that they name by their numbers.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include "mapping.h"

/* Step::MapPages */
#define VFS_DEBUG_MAP_PAGES	6

static unsigned int switch_delay[9];
module_param_array(switch_delay, uint, NULL, 0644);
MODULE_PARM_DESC(switch_delay, "Microseconds to wait at each step of a switch of mappings");

static unsigned int switch_skip;
module_param(switch_skip, uint, 0644);
MODULE_PARM_DESC(switch_skip, "Steps of a switch of mappings to leave out: a bit each");

void vfs_debug_step(unsigned int step)
{
	unsigned int delay = step < ARRAY_SIZE(switch_delay) ? READ_ONCE(switch_delay[step]) : 0;

	if (!delay)
		return;
	/* Pages are mapped around a fault in an RCU read-side critical section. */
	if (step == VFS_DEBUG_MAP_PAGES)
		mdelay(DIV_ROUND_UP(delay, 1000));
	else
		usleep_range(delay, delay + delay / 8 + 1);
}

bool vfs_debug_skips(unsigned int step)
{
	return READ_ONCE(switch_skip) & BIT(step);
}
