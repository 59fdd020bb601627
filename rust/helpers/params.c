// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters.  The `module!` macro makes parameters without a sysfs file,
 * hence C.
 *
 * Those of overlayfs have the same names: container engines look for these files
 * to learn whether an option may be passed.  Each names a feature that is not
 * implemented yet: it reads N, and turning it on is refused rather than ignored.
 */
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include "shims.h"

static bool switch_mappings = true;
module_param(switch_mappings, bool, 0644);
MODULE_PARM_DESC(switch_mappings,
		 "Switch shared mappings of lower files to upper at copy-up; those made while this is off go stale (default: on)");

bool vfs_shim_switch_mappings(void)
{
	return READ_ONCE(switch_mappings);
}

static int set_unsupported(const char *value, const struct kernel_param *param)
{
	bool on;
	int err = value ? kstrtobool(value, &on) : -EINVAL;

	if (err)
		return err;
	if (on) {
		pr_err("overlayfs: parameter %s=Y is not supported\n", param->name);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int get_unsupported(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "N\n");
}

static const struct kernel_param_ops unsupported_ops = {
	.set = set_unsupported,
	.get = get_unsupported,
};

#define UNSUPPORTED_PARAM(name, desc)					\
	module_param_cb(name, &unsupported_ops, NULL, 0644);		\
	__MODULE_PARM_TYPE(name, "bool");				\
	MODULE_PARM_DESC(name, desc " (not supported yet, only N)")

UNSUPPORTED_PARAM(redirect_dir, "Default to on or off for the redirect_dir feature");
UNSUPPORTED_PARAM(redirect_always_follow, "Follow redirects even if redirect_dir feature is turned off");
UNSUPPORTED_PARAM(index, "Default to on or off for the inodes index feature");
UNSUPPORTED_PARAM(nfs_export, "Default to on or off for the NFS export feature");
UNSUPPORTED_PARAM(xino_auto, "Auto enable xino feature");
UNSUPPORTED_PARAM(metacopy, "Default to on or off for the metadata only copy up feature");
