/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What crate `vfs` needs of the kernel's headers beyond kernel::bindings.
 * bindgen_parameters beside this file lists the items taken.
 */
#include <linux/backing-file.h>
#include <linux/cred.h>
#include <linux/exportfs.h>
#include <linux/filelock.h>
#include <linux/fileattr.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_struct.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/random.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/splice.h>
#include <linux/statfs.h>
#include <linux/xattr.h>
#include "../helpers/casefold.h"
#include "../helpers/mapping.h"
#include "../helpers/shims.h"
#include "../helpers/vfs_trace.h"
