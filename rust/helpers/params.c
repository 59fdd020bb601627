// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters.  The `module!` macro makes parameters without a sysfs file,
 * hence C.
 *
 * Those of overlayfs have the same names, types and defaults: container engines
 * look for these files to learn whether an option may be passed.  Each says what
 * a mount does that has not the option of its name.
 */
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

/* What C overlayfs has not. */
DEFAULT_PARAM(rename_dir_copy, true,
	      "Default to copy or exdev for the option rename_dir (default: on, copy)")

static unsigned int rename_dir_objects = 16384;
module_param(rename_dir_objects, uint, 0644);
MODULE_PARM_DESC(rename_dir_objects,
		 "Objects that renaming a directory copies up at most (default: 16384)");

unsigned int vfs_shim_param_rename_dir_objects(void)
{
	return READ_ONCE(rename_dir_objects);
}

static unsigned int rename_dir_mib = 1024;
module_param(rename_dir_mib, uint, 0644);
MODULE_PARM_DESC(rename_dir_mib,
		 "Data that renaming a directory copies up at most, in MiB (default: 1024)");

unsigned int vfs_shim_param_rename_dir_mib(void)
{
	return READ_ONCE(rename_dir_mib);
}

static unsigned short redirect_max = 256;
module_param(redirect_max, ushort, 0644);
MODULE_PARM_DESC(redirect_max, "Maximum length of absolute redirect xattr value");

unsigned short vfs_shim_param_redirect_max(void)
{
	return READ_ONCE(redirect_max);
}
