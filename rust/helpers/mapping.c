// SPDX-License-Identifier: GPL-2.0
/*
 * C side of vfs::mapping: inline functions of mm, and the interval tree of a
 * file's mappings, whose functions mm does not export.  The protocol that these
 * are steps of is described there.
 */
#include <linux/file.h>
#include <linux/folio_batch.h>
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include "mapping.h"

/* As in mm/interval_tree.c: both have to agree on the order of the tree. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, pgoff_t, shared.rb_subtree_last,
		     vma_start_pgoff, vma_last_pgoff, static, vfs_rmap)

#ifdef CONFIG_LOCKDEP
/* A fault in flight holds this shared, who waits for it takes it exclusively. */
static struct lock_class_key in_flight_key;
static struct lockdep_map in_flight_map =
	STATIC_LOCKDEP_MAP_INIT("vfs_mapping_in_flight", &in_flight_key);
#define in_flight_acquire()		lock_map_acquire_read(&in_flight_map)
#define in_flight_acquire_all()		lock_map_acquire(&in_flight_map)
#define in_flight_release()		lock_map_release(&in_flight_map)
#else
#define in_flight_acquire()		do { } while (0)
#define in_flight_acquire_all()		do { } while (0)
#define in_flight_release()		do { } while (0)
#endif

/* Added to the count while somebody waits, so that otherwise nobody is woken. */
#define IN_FLIGHT_WAITER	(1 << 24)

/* Full barrier between the count and what the caller reads next. */
void vfs_shim_in_flight_begin(atomic_t *count)
{
	atomic_inc(count);
	smp_mb__after_atomic();
	in_flight_acquire();
}

/*
 * The last one may find @count freed when it has counted itself out: waking up
 * uses its address only.
 */
void vfs_shim_in_flight_end(atomic_t *count)
{
	in_flight_release();
	if (unlikely(atomic_dec_return(count) == IN_FLIGHT_WAITER))
		wake_up_var(count);
}

/*
 * Waits until @count was zero; what was done before it was counted down is seen
 * after.  One task at a time waits.
 */
void vfs_shim_in_flight_drain(atomic_t *count)
{
	might_sleep();
	if (atomic_read(count)) {
		atomic_add(IN_FLIGHT_WAITER, count);
		wait_var_event(count, atomic_read(count) == IN_FLIGHT_WAITER);
		atomic_sub(IN_FLIGHT_WAITER, count);
	}
	/* Pairs with atomic_dec_return() in vfs_shim_in_flight_end(). */
	smp_mb();
}

/* The same for a task that lockdep is to know to wait for faults. */
void vfs_shim_in_flight_wait(atomic_t *count)
{
	in_flight_acquire_all();
	vfs_shim_in_flight_drain(count);
	in_flight_release();
}

void vfs_shim_smp_mb(void)
{
	smp_mb();
}

/* Waits until no folio that is in @mapping now is locked as it is now. */
void vfs_shim_wait_for_folio_locks(struct address_space *mapping)
{
	struct folio_batch batch;
	pgoff_t index = 0;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &index, -1, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++)
			folio_wait_locked(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	/* Pairs with folio_unlock(): page table entries made under the lock are seen. */
	smp_mb();
}

void vfs_shim_fault_lock_folio(struct vm_fault *vmf)
{
	folio_lock(page_folio(vmf->page));
}

void vfs_shim_release_fault_lock(struct vm_fault *vmf)
{
	release_fault_lock(vmf);
}

const struct inode *vfs_shim_file_user_inode(const struct file *file)
{
	return file_user_inode(file);
}

void vfs_shim_i_mmap_lock_read(struct address_space *mapping)
{
	i_mmap_lock_read(mapping);
}

void vfs_shim_i_mmap_unlock_read(struct address_space *mapping)
{
	i_mmap_unlock_read(mapping);
}

/* The first mapping of @mapping; under its i_mmap_rwsem. */
struct vm_area_struct *vfs_shim_rmap_first(struct address_space *mapping)
{
	return vfs_rmap_iter_first(&mapping->i_mmap, 0, ULONG_MAX);
}

/* The one after @vma; under i_mmap_rwsem. */
struct vm_area_struct *vfs_shim_rmap_next(struct vm_area_struct *vma)
{
	return vfs_rmap_iter_next(vma, 0, ULONG_MAX);
}

void vfs_shim_rmap_remove(struct vm_area_struct *vma, struct address_space *mapping)
{
	i_mmap_lock_write(mapping);
	flush_dcache_mmap_lock(mapping);
	vfs_rmap_remove(vma, &mapping->i_mmap);
	flush_dcache_mmap_unlock(mapping);
	i_mmap_unlock_write(mapping);
}

void vfs_shim_rmap_insert(struct vm_area_struct *vma, struct address_space *mapping)
{
	i_mmap_lock_write(mapping);
	flush_dcache_mmap_lock(mapping);
	vfs_rmap_insert(vma, &mapping->i_mmap);
	flush_dcache_mmap_unlock(mapping);
	i_mmap_unlock_write(mapping);
}

bool vfs_shim_mm_has_users(struct mm_struct *mm)
{
	return atomic_read(&mm->mm_users) > 0;
}

bool vfs_shim_mmget_not_zero(struct mm_struct *mm)
{
	return mmget_not_zero(mm);
}

int vfs_shim_mmap_write_lock_killable(struct mm_struct *mm)
{
	return mmap_write_lock_killable(mm);
}

/* mmap_write_trylock() is gone from 7.3. */
bool vfs_shim_mmap_write_trylock(struct mm_struct *mm)
{
	if (!down_write_trylock(&mm->mmap_lock))
		return false;
	mm_lock_seqcount_begin(mm);
	return true;
}

void vfs_shim_mmap_write_unlock(struct mm_struct *mm)
{
	mmap_write_unlock(mm);
}

void vfs_shim_mmap_write_downgrade(struct mm_struct *mm)
{
	mmap_write_downgrade(mm);
}

void vfs_shim_mmap_read_unlock(struct mm_struct *mm)
{
	mmap_read_unlock(mm);
}

int vfs_shim_vma_start_write_killable(struct vm_area_struct *vma)
{
	mmap_assert_write_locked(vma->vm_mm);
	return vma_start_write_killable(vma);
}

/* Gives @vma, which is write-locked, operations without private data. */
void vfs_shim_vma_set_ops(struct vm_area_struct *vma, const struct vm_operations_struct *ops)
{
	struct address_space *mapping = vma->vm_file->f_mapping;

	/* Who walks the tree looks at the operations. */
	i_mmap_lock_write(mapping);
	vma->vm_private_data = NULL;
	vma->vm_ops = ops;
	i_mmap_unlock_write(mapping);
}

/*
 * A copy of @vma that is in no tree and that nobody else sees, without the
 * operations of its file, to which it has a reference; NULL without memory.
 */
struct vm_area_struct *vfs_shim_vma_copy(const struct vm_area_struct *vma)
{
	struct vm_area_struct *copy = kmemdup(vma, sizeof(*vma), GFP_KERNEL);

	if (!copy)
		return NULL;
	INIT_LIST_HEAD(&copy->anon_vma_chain);
	vma_lock_init(copy, true);
	copy->vm_ops = NULL;
	copy->vm_private_data = NULL;
	get_file(copy->vm_file);
	return copy;
}

/* Frees the copy, but not its reference to the file. */
void vfs_shim_vma_copy_free(struct vm_area_struct *copy)
{
	kfree(copy);
}

/* Takes over flags that the filesystem of a new file added; @vma is write-locked. */
void vfs_shim_vma_add_flags(struct vm_area_struct *vma, const struct vm_area_struct *from)
{
	vm_flags_set(vma, from->vm_flags & ~vma->vm_flags);
}
