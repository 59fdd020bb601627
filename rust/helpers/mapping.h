/* SPDX-License-Identifier: GPL-2.0 */
/* C side of vfs::mapping, see mapping.c. */
#ifndef VFS_MAPPING_H
#define VFS_MAPPING_H

#include <linux/backing-file.h>
#include <linux/fs.h>
#include <linux/mm.h>

void vfs_shim_in_flight_begin(atomic_t *count);
void vfs_shim_in_flight_end(atomic_t *count);
void vfs_shim_in_flight_drain(atomic_t *count);
void vfs_shim_in_flight_wait(atomic_t *count);
void vfs_shim_smp_mb(void);
void vfs_shim_wait_for_folio_locks(struct address_space *mapping);

void vfs_shim_fault_lock_folio(struct vm_fault *vmf);
void vfs_shim_release_fault_lock(struct vm_fault *vmf);

const struct inode *vfs_shim_file_user_inode(const struct file *file);

void vfs_shim_i_mmap_lock_read(struct address_space *mapping);
void vfs_shim_i_mmap_unlock_read(struct address_space *mapping);
struct vm_area_struct *vfs_shim_rmap_first(struct address_space *mapping);
struct vm_area_struct *vfs_shim_rmap_next(struct vm_area_struct *vma);
void vfs_shim_rmap_remove(struct vm_area_struct *vma, struct address_space *mapping);
void vfs_shim_rmap_insert(struct vm_area_struct *vma, struct address_space *mapping);

bool vfs_shim_mm_has_users(struct mm_struct *mm);
bool vfs_shim_mmget_not_zero(struct mm_struct *mm);
int vfs_shim_mmap_write_lock_killable(struct mm_struct *mm);
bool vfs_shim_mmap_write_trylock(struct mm_struct *mm);
void vfs_shim_mmap_write_unlock(struct mm_struct *mm);
void vfs_shim_mmap_write_downgrade(struct mm_struct *mm);
void vfs_shim_mmap_read_unlock(struct mm_struct *mm);

int vfs_shim_vma_start_write_killable(struct vm_area_struct *vma);
void vfs_shim_vma_set_ops(struct vm_area_struct *vma, const struct vm_operations_struct *ops);
struct vm_area_struct *vfs_shim_vma_copy(const struct vm_area_struct *vma);
void vfs_shim_vma_copy_free(struct vm_area_struct *copy);
void vfs_shim_vma_add_flags(struct vm_area_struct *vma, const struct vm_area_struct *from);

/* Only in a module built with ROVL_DEBUG=1, see debug.c. */
void vfs_debug_step(unsigned int step);
bool vfs_debug_skips(unsigned int step);

/* Constants that bindgen cannot see in macros. */
static const unsigned long vfs_const_VM_SHARED = VM_SHARED;
static const unsigned long vfs_const_VM_MAYSHARE = VM_MAYSHARE;
static const unsigned long vfs_const_VM_MAYWRITE = VM_MAYWRITE;
static const unsigned long vfs_const_VM_LOCKED = VM_LOCKED;
static const unsigned long vfs_const_VM_LOCKONFAULT = VM_LOCKONFAULT;
/* A fault handler that answers none of these has set vmf->page, unlocked. */
static const unsigned int vfs_const_VM_FAULT_NO_UNLOCKED_PAGE =
	(__force unsigned int)(VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY |
			       VM_FAULT_DONE_COW | VM_FAULT_LOCKED);

#endif
