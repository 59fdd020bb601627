// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of the module rovl. */
#define VFS_TRACE_SYSTEM rovl
#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "vfs_trace.h"
