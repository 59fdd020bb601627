// SPDX-License-Identifier: GPL-2.0
/*
 * Does on purpose what a module must not do: so that the tests of the test
 * machine see whether each fault is noticed.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *fault = "none";
module_param(fault, charp, 0);
MODULE_PARM_DESC(fault, "any of none, warn, pin, leak, lock, atomic, kasan");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

static noinline void leak(void)
{
	/*
	 * Many: stale copies of the latest pointers on a stack and in the
	 * allocator's arrays of free objects hide those.
	 */
	for (int i = 0; i < 1024; i++) {
		char *object = kmalloc(200, GFP_KERNEL);

		if (object)
			WRITE_ONCE(object[0], i);
	}
}

static void lock_in_both_orders(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void sleep_under_spinlock(void)
{
	spin_lock(&spin);
	mutex_lock(&first);
	mutex_unlock(&first);
	spin_unlock(&spin);
}

static void write_after_free(void)
{
	char *object = kmalloc(200, GFP_KERNEL);

	kfree(object);
	WRITE_ONCE(object[8], 1);
}

static int __init fault_init(void)
{
	if (strstr(fault, "warn"))
		WARN_ON(1);
	if (strstr(fault, "pin"))
		__module_get(THIS_MODULE);
	if (strstr(fault, "leak"))
		leak();
	/* In this order: lockdep is silent after a report, its own or KASAN's. */
	if (strstr(fault, "lock"))
		lock_in_both_orders();
	if (strstr(fault, "atomic"))
		sleep_under_spinlock();
	if (strstr(fault, "kasan"))
		write_after_free();
	return 0;
}

static void __exit fault_exit(void)
{
}

module_init(fault_init);
module_exit(fault_exit);
MODULE_DESCRIPTION("Faults on purpose, to test the test machine");
MODULE_LICENSE("GPL");
