// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters.  The `module!` macro makes parameters without a sysfs file,
 * hence C.
 *
 * Those of overlayfs have the same names, types and defaults: container engines
 * look for these files to learn whether an option may be passed.  Each says what
 * a mount does that has not the option of its name.
 */
#define pr_fmt(fmt) "overlayfs: " fmt

#include <linux/kernel.h>
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

/*
 * What is built in where the kernel's own overlayfs is not configured.
 */
#if IS_ENABLED(CONFIG_OVERLAY_FS)
#define BUILT_IN(option, otherwise) IS_ENABLED(option)
#else
#define BUILT_IN(option, otherwise) (otherwise)
#endif

#define DEFAULT_PARAM(name, initial, desc)				\
	static bool name##_default = (initial);				\
	module_param_named(name, name##_default, bool, 0644);		\
	MODULE_PARM_DESC(name, desc);					\
	bool vfs_shim_param_##name(void)				\
	{								\
		return READ_ONCE(name##_default);			\
	}

DEFAULT_PARAM(redirect_dir, BUILT_IN(CONFIG_OVERLAY_FS_REDIRECT_DIR, false),
	      "Default to on or off for the redirect_dir feature")
DEFAULT_PARAM(redirect_always_follow, BUILT_IN(CONFIG_OVERLAY_FS_REDIRECT_ALWAYS_FOLLOW, true),
	      "Follow redirects even if redirect_dir feature is turned off")
DEFAULT_PARAM(index, BUILT_IN(CONFIG_OVERLAY_FS_INDEX, false),
	      "Default to on or off for the inodes index feature")
DEFAULT_PARAM(nfs_export, BUILT_IN(CONFIG_OVERLAY_FS_NFS_EXPORT, false),
	      "Default to on or off for the NFS export feature")
DEFAULT_PARAM(xino_auto, BUILT_IN(CONFIG_OVERLAY_FS_XINO_AUTO, false),
	      "Auto enable xino feature")
DEFAULT_PARAM(metacopy, BUILT_IN(CONFIG_OVERLAY_FS_METACOPY, false),
	      "Default to on or off for the metadata only copy up feature")

/*
 * Of no use for long: C overlayfs has it for those who set it in modprobe.d, and
 * answers the same.
 */
static int check_copy_up_set(const char *value, const struct kernel_param *param)
{
	pr_warn("the module parameter check_copy_up is obsolete\n");
	return 0;
}

static int check_copy_up_get(char *buffer, const struct kernel_param *param)
{
	return scnprintf(buffer, PAGE_SIZE, "N\n");
}

static const struct kernel_param_ops check_copy_up_ops = {
	.set = check_copy_up_set,
	.get = check_copy_up_get,
};
module_param_cb(check_copy_up, &check_copy_up_ops, NULL, 0644);
MODULE_PARM_DESC(check_copy_up, "Obsolete; does nothing");

/* What C overlayfs has not. */
DEFAULT_PARAM(rename_dir_copy, true,
	      "Default to copy or exdev for the option rename_dir (default: on, copy)")

#define LIMIT_PARAM(name, type, initial, desc)				\
	static type name = (initial);					\
	module_param(name, type, 0644);					\
	MODULE_PARM_DESC(name, desc);					\
	unsigned int vfs_shim_param_##name(void)			\
	{								\
		return READ_ONCE(name);					\
	}

LIMIT_PARAM(rename_dir_objects, uint, 16384,
	    "Objects that renaming a directory copies up at most (default: 16384)")
LIMIT_PARAM(rename_dir_mib, uint, 1024,
	    "Data that renaming a directory copies up at most, in MiB (default: 1024)")

/* As C overlayfs. */
LIMIT_PARAM(redirect_max, ushort, 256, "Maximum length of absolute redirect xattr value")
