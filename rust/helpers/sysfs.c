// SPDX-License-Identifier: GPL-2.0
/* Shims for rust/vfs/sysfs.rs. */
#include <linux/kobject.h>
#include <linux/sysfs.h>
#include <linux/types.h>
#include <linux/kdev_t.h>
#include "shims.h"

/* The name, for which there are 16 bytes, is what stat(2) and mountinfo tell a filesystem by. */
int vfs_shim_sysfs_create_dev_file(struct kobject *dir, struct kobj_attribute *file, char *name,
				   dev_t dev)
{
	format_dev_t(name, dev);
	file->attr.name = name;
	sysfs_attr_init(&file->attr);
	return sysfs_create_file(dir, &file->attr);
}

void vfs_shim_sysfs_remove_file(struct kobject *dir, struct kobj_attribute *file)
{
	sysfs_remove_file(dir, &file->attr);
}

int vfs_shim_sysfs_emit_at(char *buf, int at, const char *name, u64 value)
{
	return sysfs_emit_at(buf, at, "%s %llu\n", name, value);
}
