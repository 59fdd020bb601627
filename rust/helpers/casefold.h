/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Case-folded names: what of the kernel's headers bindgen cannot see.
 */
#ifndef VFS_CASEFOLD_H
#define VFS_CASEFOLD_H

#include <linux/fs.h>

bool vfs_shim_has_encoding(const struct super_block *sb);
bool vfs_shim_has_strict_encoding(const struct super_block *sb);
bool vfs_shim_same_encoding(const struct super_block *sb, const struct super_block *other);
int vfs_shim_load_encoding(struct super_block *sb, const struct super_block *from);
void vfs_shim_unload_encoding(struct super_block *sb);
int vfs_shim_casefold(const struct super_block *sb, const char *name, unsigned int len,
		      unsigned char *buf, size_t size);
int vfs_shim_ci_d_hash(const struct dentry *dentry, struct qstr *str);
int vfs_shim_ci_d_compare(const struct dentry *dentry, unsigned int len, const char *str,
			  const struct qstr *name);

#endif
