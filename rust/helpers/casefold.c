// SPDX-License-Identifier: GPL-2.0
/*
 * Case-folded names for crate `vfs`, see casefold.h.  All of it needs
 * CONFIG_UNICODE; without, no filesystem has an encoding.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/unicode.h>
#include "casefold.h"

bool vfs_shim_has_encoding(const struct super_block *sb)
{
	return sb_has_encoding(sb);
}

bool vfs_shim_same_encoding(const struct super_block *sb, const struct super_block *other)
{
	return sb_same_encoding(sb, other);
}

#if IS_ENABLED(CONFIG_UNICODE)

bool vfs_shim_has_strict_encoding(const struct super_block *sb)
{
	return sb_has_strict_encoding(sb);
}

int vfs_shim_load_encoding(struct super_block *sb, const struct super_block *from)
{
	struct unicode_map *map;

	if (!from->s_encoding || sb->s_encoding)
		return -EINVAL;
	map = utf8_load(from->s_encoding->version);
	if (IS_ERR(map))
		return PTR_ERR(map);
	sb->s_encoding = map;
	sb->s_encoding_flags = from->s_encoding_flags;
	return 0;
}

/* RCU walks may still look at the map, which is why the pointer stays. */
void vfs_shim_unload_encoding(struct super_block *sb)
{
	utf8_unload(sb->s_encoding);
}

int vfs_shim_casefold(const struct super_block *sb, const char *name, unsigned int len,
		      unsigned char *buf, size_t size)
{
	const struct qstr str = QSTR_INIT(name, len);

	if (!sb->s_encoding)
		return -EINVAL;
	return utf8_casefold(sb->s_encoding, &str, buf, size);
}

int vfs_shim_ci_d_hash(const struct dentry *dentry, struct qstr *str)
{
	return generic_ci_d_hash(dentry, str);
}

int vfs_shim_ci_d_compare(const struct dentry *dentry, unsigned int len, const char *str,
			  const struct qstr *name)
{
	return generic_ci_d_compare(dentry, len, str, name);
}

#else

bool vfs_shim_has_strict_encoding(const struct super_block *sb)
{
	return false;
}

int vfs_shim_load_encoding(struct super_block *sb, const struct super_block *from)
{
	return -EINVAL;
}

void vfs_shim_unload_encoding(struct super_block *sb)
{
}

int vfs_shim_casefold(const struct super_block *sb, const char *name, unsigned int len,
		      unsigned char *buf, size_t size)
{
	return -EINVAL;
}

int vfs_shim_ci_d_hash(const struct dentry *dentry, struct qstr *str)
{
	return 0;
}

int vfs_shim_ci_d_compare(const struct dentry *dentry, unsigned int len, const char *str,
			  const struct qstr *name)
{
	return len != name->len || memcmp(str, name->name, len);
}

#endif
