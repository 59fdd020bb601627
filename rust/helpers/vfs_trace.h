/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of stacked filesystems, for crate `vfs`: see rust/vfs/trace.rs.
 *
 * Each module has its own trace system of its name, so that two that are built
 * of the same objects can be loaded at once: VFS_TRACE_SYSTEM.
 */
#ifndef VFS_TRACE_SYSTEM
#define VFS_TRACE_SYSTEM vfs
#endif

#undef TRACE_SYSTEM
#define TRACE_SYSTEM VFS_TRACE_SYSTEM
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vfs_trace

#ifndef VFS_TRACE_CONSTANTS
#define VFS_TRACE_CONSTANTS

/* Why something was copied up. */
#define VFS_COPY_UP_OPEN	0
#define VFS_COPY_UP_TRUNCATE	1
#define VFS_COPY_UP_ATTRIBUTES	2
#define VFS_COPY_UP_XATTR	3
#define VFS_COPY_UP_ACL		4
#define VFS_COPY_UP_FLAGS	5
#define VFS_COPY_UP_CREATE	6
#define VFS_COPY_UP_REMOVE	7
#define VFS_COPY_UP_LINK	8
#define VFS_COPY_UP_RENAME	9
#define VFS_COPY_UP_CHILD	10
#define VFS_COPY_UP_HANDLE	11

/* What of it was copied. */
#define VFS_COPIED_ALL		0
#define VFS_COPIED_METADATA	1
#define VFS_COPIED_DATA		2

/* When mappings were switched. */
#define VFS_SWITCH_COPY_UP	0
#define VFS_SWITCH_LATER	1
#define VFS_SWITCH_FAULT	2

#endif

#if !defined(VFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VFS_TRACE_H

#include <linux/fs.h>
#include <linux/tracepoint.h>

TRACE_EVENT(ovl_copy_up,
	TP_PROTO(const struct inode *inode, const char *name, unsigned int len,
		 unsigned int reason, unsigned int what, u64 bytes, u64 duration,
		 int result),
	TP_ARGS(inode, name, len, reason, what, bytes, duration, result),

	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(umode_t, mode)
		__field(u64, ino)
		__field(u64, bytes)
		__field(u64, duration)
		__field(u32, reason)
		__field(u32, what)
		__field(int, result)
		__string_len(name, name, len)
	),
	TP_fast_assign(
		__entry->dev = inode->i_sb->s_dev;
		__entry->mode = inode->i_mode;
		__entry->ino = inode->i_ino;
		__entry->bytes = bytes;
		__entry->duration = duration;
		__entry->reason = reason;
		__entry->what = what;
		__entry->result = result;
		__assign_str(name);
	),
	TP_printk("dev=%u:%u ino=%llu mode=0%o reason=%s what=%s bytes=%llu duration=%llu result=%d name=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->mode,
		  __print_symbolic(__entry->reason,
				   { VFS_COPY_UP_OPEN, "open" },
				   { VFS_COPY_UP_TRUNCATE, "truncate" },
				   { VFS_COPY_UP_ATTRIBUTES, "attributes" },
				   { VFS_COPY_UP_XATTR, "xattr" },
				   { VFS_COPY_UP_ACL, "acl" },
				   { VFS_COPY_UP_FLAGS, "flags" },
				   { VFS_COPY_UP_CREATE, "create" },
				   { VFS_COPY_UP_REMOVE, "remove" },
				   { VFS_COPY_UP_LINK, "link" },
				   { VFS_COPY_UP_RENAME, "rename" },
				   { VFS_COPY_UP_CHILD, "child" },
				   { VFS_COPY_UP_HANDLE, "handle" }),
		  __print_symbolic(__entry->what,
				   { VFS_COPIED_ALL, "all" },
				   { VFS_COPIED_METADATA, "metadata" },
				   { VFS_COPIED_DATA, "data" }),
		  __entry->bytes, __entry->duration, __entry->result, __get_str(name))
);

TRACE_EVENT(ovl_whiteout,
	TP_PROTO(const struct inode *dir, const char *name, unsigned int len),
	TP_ARGS(dir, name, len),

	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, dir)
		__string_len(name, name, len)
	),
	TP_fast_assign(
		__entry->dev = dir->i_sb->s_dev;
		__entry->dir = dir->i_ino;
		__assign_str(name);
	),
	TP_printk("dev=%u:%u dir=%llu name=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->dir, __get_str(name))
);

TRACE_EVENT(ovl_lookup_miss,
	TP_PROTO(const struct inode *dir, const char *name, unsigned int len,
		 unsigned int layers),
	TP_ARGS(dir, name, len, layers),

	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, layers)
		__field(u64, dir)
		__string_len(name, name, len)
	),
	TP_fast_assign(
		__entry->dev = dir->i_sb->s_dev;
		__entry->layers = layers;
		__entry->dir = dir->i_ino;
		__assign_str(name);
	),
	TP_printk("dev=%u:%u dir=%llu layers=%u name=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->dir, __entry->layers,
		  __get_str(name))
);

TRACE_EVENT(ovl_switch_mappings,
	TP_PROTO(const struct inode *inode, unsigned int cause, u64 switched, u64 left,
		 u64 duration),
	TP_ARGS(inode, cause, switched, left, duration),

	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, cause)
		__field(u64, ino)
		__field(u64, switched)
		__field(u64, left)
		__field(u64, duration)
	),
	TP_fast_assign(
		__entry->dev = inode->i_sb->s_dev;
		__entry->cause = cause;
		__entry->ino = inode->i_ino;
		__entry->switched = switched;
		__entry->left = left;
		__entry->duration = duration;
	),
	TP_printk("dev=%u:%u ino=%llu cause=%s switched=%llu left=%llu duration=%llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __print_symbolic(__entry->cause,
				   { VFS_SWITCH_COPY_UP, "copy_up" },
				   { VFS_SWITCH_LATER, "later" },
				   { VFS_SWITCH_FAULT, "fault" }),
		  __entry->switched, __entry->left, __entry->duration)
);

#endif

/* This part must be outside of the protection. */
#include <trace/define_trace.h>
