// SPDX-License-Identifier: GPL-2.0

//! Super blocks.
//!
//! C header: `include/linux/fs/super_types.h`

use crate::{
    attr::Device,
    dentry::{Dentry, DentryOf},
    fs::{FileSystem, Registration},
    inode::{InodeBox, InodeOf},
    mount::{self, PathRef},
    raw,
    sysfs::{Number, Numbers}, //
};
use core::{marker::PhantomData, ops::Deref};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    seq_file::SeqFile,
    sync::{aref::ARef, Arc},
    types::Opaque, //
};

/// The super block of any mounted filesystem, see `struct super_block`.
#[repr(transparent)]
pub struct SuperBlock(Opaque<raw::super_block>);

// SAFETY: The methods of a shared super block are thread-safe in C.
unsafe impl Sync for SuperBlock {}

/// A point in a filesystem's history of errors, see `errseq_t`.
#[derive(Clone, Copy)]
pub struct WritebackErrors(raw::errseq_t);

impl SuperBlock {
    /// # Safety
    ///
    /// `ptr` points to a super block that is active for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut raw::super_block) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::super_block {
        self.0.get()
    }

    /// How many filesystems are stacked up to this one.
    pub fn stack_depth(&self) -> u32 {
        // SAFETY: The super block is valid; the depth is set before it is shared.
        unsafe { (*self.as_ptr()).s_stack_depth as u32 }
    }

    /// The granularity of times, in nanoseconds.
    pub fn time_granularity(&self) -> u32 {
        // SAFETY: The super block is valid; the value is set before it is shared.
        unsafe { (*self.as_ptr()).s_time_gran }
    }

    /// The filesystem's UUID; all zero when it has none.
    pub fn uuid(&self) -> [u8; 16] {
        // SAFETY: The super block is valid; the value is set before it is shared.
        unsafe { (*self.as_ptr()).s_uuid.b }
    }

    /// Whether `SB_NOSEC` is set: files without set-id bits and capabilities are
    /// marked, so that writes need not look for them.
    pub fn has_nosec(&self) -> bool {
        // SAFETY: The super block is valid; this corresponds to `READ_ONCE`.
        let flags = unsafe { core::ptr::addr_of!((*self.as_ptr()).s_flags).read_volatile() };
        flags & raw::vfs_const_SB_NOSEC as c_ulong != 0
    }

    /// Whether `SB_LAZYTIME` is set: times alone make an inode dirty in memory only. It may
    /// change with a remount.
    pub fn is_lazytime(&self) -> bool {
        // SAFETY: The super block is valid; this corresponds to `READ_ONCE`.
        let flags = unsafe { core::ptr::addr_of!((*self.as_ptr()).s_flags).read_volatile() };
        flags & raw::vfs_const_SB_LAZYTIME as c_ulong != 0
    }

    /// The number that tells what kind of filesystem it is.
    pub fn magic(&self) -> c_ulong {
        // SAFETY: The super block is valid; the number is set before it is shared.
        unsafe { (*self.as_ptr()).s_magic }
    }

    /// Whether file handles of the filesystem can be decoded.
    pub fn can_decode_handles(&self) -> bool {
        // SAFETY: The super block is valid.
        unsafe { raw::vfs_shim_can_decode_fh(self.as_ptr()) }
    }

    /// Writes what is dirty in the filesystem and waits, see
    /// `sync_filesystem()`.
    ///
    /// Takes `s_umount` shared.
    pub fn sync(&self) -> Result {
        let umount = self.umount_lock();
        // SAFETY: The super block is valid, and `s_umount` is held for the call.
        unsafe {
            raw::down_read(umount);
            let ret = raw::sync_filesystem(self.as_ptr());
            raw::up_read(umount);
            to_result(ret)
        }
    }

    /// The device number of the filesystem.
    pub fn dev(&self) -> Device {
        // SAFETY: The super block is valid; its device never changes.
        Device::from_raw(unsafe { (*self.as_ptr()).s_dev })
    }

    /// The name of the type of filesystem.
    pub fn type_name(&self) -> &CStr {
        // SAFETY: The super block is valid, and keeps the module of its type, which has a name.
        unsafe { CStr::from_char_ptr((*(*self.as_ptr()).s_type).name) }
    }

    /// Makes all changes durable that the filesystem has in its journal or in buffers of
    /// its device, but neither data that is dirty in the page cache nor times that
    /// [are kept in memory](Self::is_lazytime): as `sync_filesystem()` without these. As
    /// there, xfs [may flush nothing](Self::flush_device) if it has nothing to commit.
    ///
    /// Takes `s_umount` shared.
    pub fn sync_metadata(&self) -> Result {
        // SAFETY: The super block is valid.
        to_result(unsafe { raw::vfs_shim_sync_metadata(self.as_ptr()) })
    }

    /// Has the device of the filesystem write its cache to the medium, if there is a device:
    /// see `blkdev_issue_flush()`. Sleeps; `EIO` if the device fails.
    ///
    /// A realtime or log device of its own is not reached.
    pub fn flush_device(&self) -> Result {
        // SAFETY: The super block is valid, and has its device open for as long as it is.
        to_result(unsafe { raw::vfs_shim_flush_device(self.as_ptr()) })
    }

    /// Whether data that was written back is on the disk, and found there, wherever a
    /// change of names is that was made later.
    ///
    /// So it is with the journal of ext4: writing back ends when the extents are in a
    /// transaction, and the change is in the same one or in a later one, before whose
    /// commit the device is told to flush its cache; but not with `journal_async_commit`.
    pub fn orders_data(&self) -> bool {
        // SAFETY: The super block is valid.
        unsafe { raw::vfs_shim_ext4_is_ordered(self.as_ptr()) }
    }

    /// Remembers which errors of writing back have been there so far, see
    /// `errseq_sample()`: one that nobody was told of yet is not among them.
    pub fn sample_errors(&self) -> WritebackErrors {
        // SAFETY: The super block is valid; the counter is atomic.
        WritebackErrors(unsafe { raw::errseq_sample(self.writeback_errors()) })
    }

    /// Fails with the latest error of writing back that came after `since`, see
    /// `errseq_check()`.
    pub fn check_errors(&self, since: WritebackErrors) -> Result {
        // SAFETY: As above.
        to_result(unsafe { raw::errseq_check(self.writeback_errors(), since.0) })
    }

    fn writeback_errors(&self) -> *mut raw::errseq_t {
        // SAFETY: The super block is valid; only an address is taken.
        unsafe { core::ptr::addr_of_mut!((*self.as_ptr()).s_wb_err) }
    }

    fn umount_lock(&self) -> *mut raw::rw_semaphore {
        // SAFETY: The super block is valid; only an address is taken.
        unsafe { core::ptr::addr_of_mut!((*self.as_ptr()).s_umount) }
    }
}

impl PartialEq for SuperBlock {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

/// A super block of the filesystem `F` that is being implemented.
///
/// # Invariants
///
/// The super block belongs to `F`, and `s_fs_info` is an `F::Super`.
#[repr(transparent)]
pub struct SuperBlockOf<F>(SuperBlock, PhantomData<F>);

impl<F> Deref for SuperBlockOf<F> {
    type Target = SuperBlock;

    fn deref(&self) -> &SuperBlock {
        &self.0
    }
}

impl<F: FileSystem> SuperBlockOf<F> {
    /// # Safety
    ///
    /// `ptr` points to a super block of `F`, active and with its private data in
    /// place for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut raw::super_block) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The root.
    pub fn root(&self) -> Option<&DentryOf<F>> {
        // SAFETY: The super block is valid and keeps its root, which is set once, before others
        // see the super block, and is a dentry of `F`.
        unsafe {
            let root = (*self.as_ptr()).s_root;
            (!root.is_null()).then(|| DentryOf::from_raw(root))
        }
    }

    /// The private data.
    pub fn data(&self) -> &F::Super {
        // SAFETY: By the type invariants.
        unsafe { &*(*self.as_ptr()).s_fs_info.cast::<F::Super>() }
    }

    /// Whether the filesystem is mounted read-only.
    pub fn is_readonly(&self) -> bool {
        // SAFETY: The super block is valid; this corresponds to `READ_ONCE`.
        let flags = unsafe { core::ptr::addr_of!((*self.as_ptr()).s_flags).read_volatile() };
        flags & raw::vfs_const_SB_RDONLY as c_ulong != 0
    }

    /// Makes the file of this filesystem in sysfs, `/sys/fs/TYPE/MAJOR:MINOR`, which shows
    /// `numbers` of `data`.
    ///
    /// Part of the private data, with which it has to go. Leaking it keeps the module.
    ///
    /// Sleeps. Fails with `ENOMEM`, or `EEXIST` if there is one already.
    pub fn show_numbers<T: Send + Sync + 'static>(
        &self,
        data: Arc<T>,
        numbers: &'static [Number<T>],
    ) -> Result<Numbers<T>> {
        // SAFETY: The super block is valid, and holds its type, which is registered for `F`; both
        // fields are set before it is shared.
        let (dir, dev, owner) = unsafe {
            let sb = self.as_ptr();
            let fs_type = (*sb).s_type;
            (
                Registration::<F>::dir(fs_type),
                (*sb).s_dev,
                (*fs_type).owner,
            )
        };
        // SAFETY: The owner of the type is the module that this is built into; a super block holds
        // it.
        unsafe { Numbers::new(owner, dir.ok_or(ENOENT)?, dev, data, numbers) }
    }
}

/// A super block that is being set up: nobody else sees it.
pub struct NewSuperBlock<F: FileSystem> {
    sb: *mut raw::super_block,
    _fs: PhantomData<F>,
}

impl<F: FileSystem> NewSuperBlock<F> {
    /// # Safety
    ///
    /// `sb` is a new super block of `F`, exclusive while the result lives.
    pub(crate) unsafe fn from_raw(sb: *mut raw::super_block) -> Self {
        Self {
            sb,
            _fs: PhantomData,
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::super_block {
        self.sb
    }

    /// Installs the operations and the private data, once: inodes can be made
    /// from here. On failure of what follows, the data is dropped.
    pub fn set_data(&mut self, data: KBox<F::Super>) -> Result<&SuperBlockOf<F>> {
        // SAFETY: The super block is exclusive.
        unsafe {
            if !(*self.sb).s_fs_info.is_null() {
                return Err(EBUSY);
            }
            (*self.sb).s_op = &SuperVTable::<F>::OPS;
            (*self.sb).s_fs_info = KBox::into_raw(data).cast();
            Ok(SuperBlockOf::from_raw(self.sb))
        }
    }

    /// Sets how many filesystems are stacked up to this one: at most
    /// `FILESYSTEM_MAX_STACK_DEPTH`, else `EINVAL`.
    pub fn set_stack_depth(&mut self, depth: u32) -> Result {
        if depth > raw::FILESYSTEM_MAX_STACK_DEPTH {
            return Err(EINVAL);
        }
        // SAFETY: The super block is exclusive.
        unsafe { (*self.sb).s_stack_depth = depth as c_int };
        Ok(())
    }

    /// Sets the number that `statfs` tells this filesystem by.
    pub fn set_magic(&mut self, magic: u32) {
        // SAFETY: The super block is exclusive.
        unsafe { (*self.sb).s_magic = magic as usize };
    }

    /// Files may be as large as the VFS allows, see `MAX_LFS_FILESIZE`.
    pub fn allow_large_files(&mut self) {
        // SAFETY: The super block is exclusive.
        unsafe { (*self.sb).s_maxbytes = i64::MAX };
    }

    /// Takes over the granularity of times of `other`.
    pub fn set_time_granularity(&mut self, nanoseconds: u32) {
        // SAFETY: The super block is exclusive.
        unsafe { (*self.sb).s_time_gran = nanoseconds };
    }

    /// Sets the filesystem's UUID, see `super_set_uuid()`; all zero for none.
    pub fn set_uuid(&mut self, uuid: [u8; 16]) {
        // SAFETY: The super block is exclusive.
        unsafe {
            (*self.sb).s_uuid.b = uuid;
            (*self.sb).s_uuid_len = if uuid == [0; 16] { 0 } else { 16 };
        }
    }

    /// The filesystem can only be read.
    pub fn set_readonly(&mut self) {
        self.set_flags(raw::vfs_const_SB_RDONLY as c_ulong);
    }

    /// Files without set-id bits and capabilities are marked, so that writes
    /// need not look for them.
    pub fn set_nosec(&mut self) {
        self.set_flags(raw::vfs_const_SB_NOSEC as c_ulong);
    }

    /// Inodes have POSIX ACLs.
    pub fn set_posix_acl(&mut self) {
        self.set_flags(raw::vfs_const_SB_POSIXACL as c_ulong);
    }

    fn set_flags(&mut self, flags: c_ulong) {
        // SAFETY: The super block is exclusive.
        unsafe { (*self.sb).s_flags |= flags };
    }

    /// The filesystem stacks upon others: `sync(2)` reaches those directly, they
    /// apply the umask, and their xattrs are not covered by EVM here.
    pub fn set_stacked(&mut self) {
        // SAFETY: The super block is exclusive.
        unsafe {
            (*self.sb).s_iflags |= raw::SB_I_SKIP_SYNC as c_ulong
                | raw::SB_I_NOUMASK as c_ulong
                | raw::SB_I_EVM_HMAC_UNSUPPORTED as c_ulong;
        }
    }

    /// Installs the handlers of extended attributes.
    pub fn set_xattr_handlers(&mut self, handlers: &'static crate::xattr::XattrHandlers<F>) {
        // SAFETY: The super block is exclusive and the list is static.
        unsafe { (*self.sb).s_xattr = handlers.as_ptr() };
    }

    /// Installs the operations on file handles.
    pub fn set_export_operations(&mut self, ops: &'static crate::exportfs::ExportOps<F>) {
        // SAFETY: The super block is exclusive and the table is static.
        unsafe { (*self.sb).s_export_op = ops.as_ptr().cast() };
    }

    /// Installs the operations on dentries.
    pub fn set_dentry_operations(&mut self) {
        // SAFETY: The super block is exclusive and the table is static.
        unsafe {
            let folds = raw::vfs_shim_has_encoding(self.sb);
            raw::set_default_d_op(self.sb, crate::fs::DentryVTable::<F>::ops(folds));
        }
    }

    /// Gives the filesystem its root: see `d_make_root()`.
    pub fn set_root(&mut self, inode: ARef<InodeOf<F>>) -> Result<&DentryOf<F>> {
        // SAFETY: The inode is valid and the super block exclusive.
        if unsafe { (*inode.as_ptr()).i_sb != self.sb || !(*self.sb).s_root.is_null() } {
            return Err(EINVAL);
        }
        // SAFETY: The reference to the inode moves into the dentry, or is given up on failure.
        let root = unsafe { raw::d_make_root(ARef::into_raw(inode).cast().as_ptr()) };
        if root.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: The super block is exclusive, and keeps the root.
        unsafe {
            (*self.sb).s_root = root;
            Ok(DentryOf::from_raw(root))
        }
    }
}

/// Usage of a filesystem, see `struct kstatfs`.
#[repr(transparent)]
pub struct StatFs(raw::kstatfs);

impl StatFs {
    /// Asks the filesystem of `path`, see `vfs_statfs()`.
    pub fn fill_from(&mut self, path: PathRef<'_>) -> Result {
        let raw_path = path.as_raw();
        // SAFETY: Both are valid.
        to_result(unsafe { raw::vfs_statfs(&raw_path, core::ptr::from_mut(&mut self.0).cast()) })
    }

    /// The longest name that the filesystem of `path` takes.
    pub fn name_len_of(path: PathRef<'_>) -> Result<usize> {
        let mut stat = Self(raw::kstatfs::default());
        stat.fill_from(path)?;
        usize::try_from(stat.0.f_namelen).map_err(|_| EINVAL)
    }

    /// Sets the type of filesystem and the longest name it takes.
    pub fn set_type(&mut self, magic: u32, name_len: usize) {
        self.0.f_type = magic as c_long;
        self.0.f_namelen = name_len as c_long;
    }

    /// Sets what tells filesystems apart to the digest of a UUID, see
    /// `uuid_to_fsid()`.
    pub fn set_fsid_from(&mut self, uuid: [u8; 16]) {
        let uuid = u128::from_le_bytes(uuid);
        let fsid = uuid as u64 ^ (uuid >> 64) as u64;
        self.0.f_fsid.val = [fsid as c_int, (fsid >> 32) as c_int];
    }
}

pub(crate) struct SuperVTable<F>(PhantomData<F>);

impl<F: FileSystem> SuperVTable<F> {
    const OPS: raw::super_operations = raw::super_operations {
        alloc_inode: Some(InodeBox::<F>::alloc),
        destroy_inode: Some(InodeBox::<F>::destroy),
        free_inode: Some(InodeBox::<F>::free),
        drop_inode: Some(raw::inode_just_drop),
        put_super: Some(Self::put_super),
        sync_fs: Some(Self::sync_fs),
        statfs: Some(Self::statfs),
        show_options: Some(Self::show_options),
        nr_cached_objects: Some(Self::nr_cached_objects),
        free_cached_objects: Some(Self::free_cached_objects),
        // SAFETY: All other fields are optional function pointers.
        ..unsafe { core::mem::zeroed() }
    };

    /// Drops the private data of a super block, if it is in place.
    ///
    /// # Safety
    ///
    /// `sb` is a super block of `F` that nobody else uses.
    pub(crate) unsafe fn drop_data(sb: *mut raw::super_block) {
        // SAFETY: By the safety requirements; the pointer came from `set_data`.
        unsafe {
            let data = (*sb).s_fs_info.cast::<F::Super>();
            if data.is_null() {
                return;
            }
            // RCU walks may still be in the filesystem, by a mount that was detached before; they
            // look at the data. What they could be in besides is waited for together with them.
            mount::retire(F::private_mounts(&*data));
            (*sb).s_fs_info = core::ptr::null_mut();
            F::put_super(KBox::from_raw(data));
        }
    }

    /// # Safety
    ///
    /// `super_operations.put_super`.
    unsafe extern "C" fn put_super(sb: *mut raw::super_block) {
        // SAFETY: Called once, when the dentries are gone.
        unsafe { Self::drop_data(sb) };
    }

    /// # Safety
    ///
    /// `super_operations.sync_fs`.
    unsafe extern "C" fn sync_fs(sb: *mut raw::super_block, wait: c_int) -> c_int {
        // SAFETY: Called with an active super block of `F`.
        let sb = unsafe { SuperBlockOf::<F>::from_raw(sb) };
        from_result(|| F::sync_fs(sb, wait != 0).map(|()| 0))
    }

    /// # Safety
    ///
    /// `super_operations.statfs`.
    unsafe extern "C" fn statfs(
        dentry: *mut raw::dentry,
        buf: *mut kernel::bindings::kstatfs,
    ) -> c_int {
        // SAFETY: Called with a valid dentry of `F` and a buffer that is the callee's.
        let (dentry, buf) = unsafe { (DentryOf::<F>::from_raw(dentry), &mut *buf.cast()) };
        from_result(|| F::statfs(dentry, buf).map(|()| 0))
    }

    /// # Safety
    ///
    /// `super_operations.nr_cached_objects`.
    unsafe extern "C" fn nr_cached_objects(
        sb: *mut raw::super_block,
        _sc: *mut raw::shrink_control,
    ) -> c_long {
        // SAFETY: Called without a lock, but from the time when the super block was set up,
        // which `SB_BORN` says, to before it is shut down, which waits for the shrinker to end.
        let data = unsafe { SuperBlockOf::<F>::from_raw(sb) }.data();
        c_long::try_from(F::cached_objects(data)).unwrap_or(c_long::MAX)
    }

    /// # Safety
    ///
    /// `super_operations.free_cached_objects`.
    unsafe extern "C" fn free_cached_objects(
        sb: *mut raw::super_block,
        sc: *mut raw::shrink_control,
    ) -> c_long {
        // SAFETY: Called with an active super block of `F`, and a request that is the callee's.
        let (sb, wanted) = unsafe { (SuperBlockOf::<F>::from_raw(sb), (*sc).nr_to_scan) };
        c_long::try_from(F::free_cached_objects(sb.data(), wanted)).unwrap_or(c_long::MAX)
    }

    /// # Safety
    ///
    /// `super_operations.show_options`.
    unsafe extern "C" fn show_options(m: *mut raw::seq_file, root: *mut raw::dentry) -> c_int {
        // SAFETY: Called with a valid dentry of `F` and a file that is the callee's.
        let (root, m) = unsafe { (DentryOf::<F>::from_raw(root), SeqFile::from_raw(m)) };
        from_result(|| F::show_options(root.super_block_of(), &Options(m)).map(|()| 0))
    }
}

/// Where mount options are shown, as in `/proc/mounts`.
pub struct Options<'a>(&'a SeqFile);

impl Options<'_> {
    /// Shows an option without a value.
    pub fn flag(&self, name: &CStr) {
        kernel::seq_print!(self.0, ",{}", name.to_str().unwrap_or(""));
    }

    /// Shows `name=value`, with the characters escaped that would end the value:
    /// see `seq_show_option()`.
    pub fn value(&self, name: &CStr, value: &CStr) {
        let m = core::ptr::from_ref(self.0)
            .cast_mut()
            .cast::<raw::seq_file>();
        // SAFETY: The file is valid and used by this task alone; strings are NUL-terminated.
        unsafe {
            raw::seq_putc(m, b',');
            raw::vfs_shim_seq_escape(m, name.as_char_ptr(), c",= \t\n\\".as_char_ptr());
            raw::seq_putc(m, b'=');
            raw::vfs_shim_seq_escape(m, value.as_char_ptr(), c", \t\n\\".as_char_ptr());
        }
    }
}

/// A random UUID, see `uuid_gen()`.
pub fn new_uuid() -> [u8; 16] {
    let mut uuid = raw::uuid_t::default();
    // SAFETY: The memory is valid for writes.
    unsafe { raw::uuid_gen(&mut uuid) };
    uuid.b
}

/// The result of dereferencing a dentry for whoever needs the inode that has
/// the data, see `d_real()`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RealKind {
    /// Whose page cache the data is in.
    Data,
    /// Whose attributes are shown.
    Metadata,
}

impl RealKind {
    pub(crate) fn from_raw(kind: raw::d_real_type) -> Option<Self> {
        match kind {
            raw::d_real_type_D_REAL_DATA => Some(Self::Data),
            raw::d_real_type_D_REAL_METADATA => Some(Self::Metadata),
            _ => None,
        }
    }

    pub(crate) fn as_raw(self) -> raw::d_real_type {
        match self {
            Self::Data => raw::d_real_type_D_REAL_DATA,
            Self::Metadata => raw::d_real_type_D_REAL_METADATA,
        }
    }
}

/// The dentry that `dentry` itself stands for when it is stacked, else
/// `dentry`: see `d_real()`.
pub fn real_dentry(dentry: &Dentry, kind: RealKind) -> &Dentry {
    // SAFETY: The dentry is valid; what it stands for lives as long as it does.
    unsafe { Dentry::from_raw(raw::vfs_shim_d_real(dentry.as_ptr(), kind.as_raw())) }
}
