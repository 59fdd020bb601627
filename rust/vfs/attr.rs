// SPDX-License-Identifier: GPL-2.0

//! Attributes of an inode: its mode, what `stat` reports, and what `setattr`
//! changes.
//!
//! C headers: [`include/linux/stat.h`](srctree/include/linux/stat.h), `struct
//! iattr` in [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    dentry::Dentry,
    inode::Inode,
    mount::{IdMap, PathRef},
    raw, //
};
use core::ptr::addr_of;
use kernel::{error::to_result, prelude::*};

/// Type and permission bits, see `umode_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mode(u16);

/// The type of an inode, `S_IFMT` of its mode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl FileType {
    fn bits(self) -> u32 {
        match self {
            FileType::Regular => raw::S_IFREG,
            FileType::Directory => raw::S_IFDIR,
            FileType::Symlink => raw::S_IFLNK,
            FileType::CharDevice => raw::S_IFCHR,
            FileType::BlockDevice => raw::S_IFBLK,
            FileType::Fifo => raw::S_IFIFO,
            FileType::Socket => raw::S_IFSOCK,
        }
    }

    /// A mode of this type with the given permission bits.
    pub fn mode(self, permissions: u16) -> Mode {
        Mode(self.bits() as u16 | permissions & Mode::PERMISSIONS)
    }
}

impl Mode {
    /// All bits that are not the type.
    pub const PERMISSIONS: u16 = 0o7777;

    /// A mode as C has it.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The mode as C has it.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// The permission bits, with set-id and sticky bits.
    pub fn permissions(self) -> u16 {
        self.0 & Self::PERMISSIONS
    }

    /// The type; `None` when it is none that exists.
    pub fn file_type(self) -> Option<FileType> {
        Some(match u32::from(self.0) & raw::S_IFMT {
            raw::S_IFREG => FileType::Regular,
            raw::S_IFDIR => FileType::Directory,
            raw::S_IFLNK => FileType::Symlink,
            raw::S_IFCHR => FileType::CharDevice,
            raw::S_IFBLK => FileType::BlockDevice,
            raw::S_IFIFO => FileType::Fifo,
            raw::S_IFSOCK => FileType::Socket,
            _ => return None,
        })
    }

    /// Whether it is a directory.
    pub fn is_dir(self) -> bool {
        self.file_type() == Some(FileType::Directory)
    }

    /// Whether it is a regular file.
    pub fn is_reg(self) -> bool {
        self.file_type() == Some(FileType::Regular)
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(self) -> bool {
        self.file_type() == Some(FileType::Symlink)
    }

    /// Whether it is a device, a fifo or a socket.
    pub fn is_special(self) -> bool {
        matches!(
            self.file_type(),
            Some(FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket)
        )
    }
}

/// A device number, see `dev_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Device(u32);

impl Device {
    /// Device 0:0, which as a character device is a whiteout.
    pub const WHITEOUT: Self = Self(raw::WHITEOUT_DEV);

    /// A device number as C has it.
    pub fn from_raw(dev: u32) -> Self {
        Self(dev)
    }

    /// The device number as C has it.
    pub fn as_raw(self) -> u32 {
        self.0
    }
}

/// What `stat` and `statx` report, see `struct kstat`.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Stat(raw::kstat);

/// The fields of [`Stat`] that are asked for, `STATX_*`.
#[derive(Clone, Copy)]
pub struct StatMask(u32);

impl StatMask {
    /// What `stat()` has.
    pub const BASIC: Self = Self(raw::STATX_BASIC_STATS);
    /// Access and modification time.
    pub const TIMES: Self = Self(raw::STATX_ATIME | raw::STATX_MTIME);
    /// When the inode was changed last.
    pub const CHANGE_TIME: Self = Self(raw::STATX_CTIME);
    /// What the data takes on the disk.
    pub const BLOCKS: Self = Self(raw::STATX_BLOCKS);
    /// Inode number and link count.
    pub const INO_NLINK: Self = Self(raw::STATX_INO | raw::STATX_NLINK);

    /// A mask as C has it.
    pub(crate) fn from_raw(mask: u32) -> Self {
        Self(mask)
    }
}

/// How `statx` should treat cached attributes and automounts, `AT_*`.
#[derive(Clone, Copy)]
pub struct StatFlags(u32);

impl StatFlags {
    /// As `stat()` does.
    pub const AS_STAT: Self = Self(raw::AT_STATX_SYNC_AS_STAT);

    pub(crate) fn from_raw(flags: u32) -> Self {
        Self(flags)
    }
}

impl Stat {
    /// # Safety
    ///
    /// `ptr` is valid and exclusive for `'a`.
    pub(crate) unsafe fn from_raw_mut<'a>(ptr: *mut raw::kstat) -> &'a mut Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &mut *ptr.cast() }
    }

    /// Asks the filesystem of `path`, after asking the security modules: see
    /// `vfs_getattr()`.
    pub fn get(path: PathRef<'_>, mask: StatMask, flags: StatFlags) -> Result<Self> {
        let mut stat = Self::empty();
        stat.read(path, mask, flags)?;
        Ok(stat)
    }

    /// As [`Stat::get`], into what is there.
    pub fn read(&mut self, path: PathRef<'_>, mask: StatMask, flags: StatFlags) -> Result {
        let raw_path = path.as_raw();
        // SAFETY: The path is valid and positive: layers' paths are.
        to_result(unsafe { raw::vfs_getattr(&raw_path, &mut self.0, mask.0, flags.0) })
    }

    /// Asks the filesystem of `path`, see `vfs_getattr_nosec()`.
    pub fn get_nosec(&mut self, path: PathRef<'_>, mask: StatMask, flags: StatFlags) -> Result {
        let raw_path = path.as_raw();
        // SAFETY: As in `get`.
        to_result(unsafe { raw::vfs_getattr_nosec(&raw_path, &mut self.0, mask.0, flags.0) })
    }

    /// All zero, to be filled in.
    pub fn empty() -> Self {
        Self(raw::kstat::default())
    }

    /// Type and permissions.
    pub fn mode(&self) -> Mode {
        Mode(self.0.mode)
    }

    /// The size in bytes.
    pub fn size(&self) -> i64 {
        self.0.size
    }

    /// What the data takes on the disk, in 512 bytes.
    pub fn blocks(&self) -> u64 {
        self.0.blocks
    }

    /// Sets what the data takes on the disk, in 512 bytes.
    pub fn set_blocks(&mut self, blocks: u64) {
        self.0.blocks = blocks;
    }

    /// What `size` bytes without holes take on the disk, in 512 bytes.
    pub fn blocks_without_holes(&self) -> u64 {
        let size = u64::try_from(self.0.size).unwrap_or(0);
        let block = u64::from(self.0.blksize.max(1));
        size.checked_next_multiple_of(block).unwrap_or(size) >> 9
    }

    /// The device that a special file stands for.
    pub fn rdev(&self) -> Device {
        Device(self.0.rdev)
    }

    /// The link count.
    pub fn nlink(&self) -> u32 {
        self.0.nlink
    }

    /// Sets the link count.
    pub fn set_nlink(&mut self, nlink: u32) {
        self.0.nlink = nlink;
    }

    /// The inode number.
    pub fn ino(&self) -> u64 {
        self.0.ino
    }

    /// The device that the object is on: a btrfs subvolume has one of its own.
    pub fn dev(&self) -> Device {
        Device(self.0.dev)
    }

    /// Sets the identity: the number, on the device of `inode`'s filesystem.
    pub fn set_identity(&mut self, ino: u64, inode: &Inode) {
        self.0.ino = ino;
        // SAFETY: An inode keeps its super block, whose device never changes.
        self.0.dev = unsafe { (*(*inode.as_ptr()).i_sb).s_dev };
    }

    /// Adds the attribute flags that an inode carries itself, see
    /// `generic_fill_statx_attr()`.
    pub fn add_inode_flags(&mut self, inode: &Inode) {
        // SAFETY: Both are valid.
        unsafe { raw::generic_fill_statx_attr(inode.as_ptr(), &mut self.0) };
    }

    /// Maps the owner, which is in the id space of `inode`'s filesystem, into
    /// that of a mount with `idmap`.
    pub fn map_owner(&mut self, idmap: IdMap<'_>, inode: &Inode) {
        // SAFETY: All are valid.
        unsafe { raw::vfs_shim_map_stat_ids(idmap.as_ptr(), inode.as_ptr(), &mut self.0) };
    }

    /// Whether owner and group exist in the current user namespace.
    pub fn owner_is_mapped(&self) -> bool {
        // SAFETY: The object is valid.
        unsafe { raw::vfs_shim_ids_are_mapped(&self.0) }
    }
}

/// When an inode was changed last, noted to tell later whether it was again.
pub struct ChangeTime {
    seconds: i64,
    nanoseconds: u32,
}

impl ChangeTime {
    /// Asks the filesystem of `path`: filesystems that are asked give the next change a
    /// time of its own, see `fill_mg_cmtime()`; with others it may be the same one within
    /// a jiffy.
    pub fn note(path: PathRef<'_>) -> Result<Self> {
        let stat = Stat::get(path, StatMask::CHANGE_TIME, StatFlags::AS_STAT)?;
        Ok(Self {
            seconds: stat.0.ctime.tv_sec,
            nanoseconds: u32::try_from(stat.0.ctime.tv_nsec).map_err(|_| EIO)?,
        })
    }

    /// Whether this is still the time of `inode`.
    pub fn is_still_of(&self, inode: &Inode) -> bool {
        let inode = inode.as_ptr();
        // SAFETY: The inode is valid. Whoever changes the fields does so by single stores, as
        // `inode_get_ctime_sec()` and `inode_get_ctime_nsec()` rely on.
        let (seconds, nanoseconds) = unsafe {
            (
                addr_of!((*inode).i_ctime_sec).read_volatile(),
                addr_of!((*inode).i_ctime_nsec).read_volatile(),
            )
        };
        seconds == self.seconds && nanoseconds & !raw::vfs_const_I_CTIME_QUERIED == self.nanoseconds
    }
}

/// What a `setattr` changes, see `struct iattr`.
#[repr(transparent)]
pub struct SetAttr(raw::iattr);

impl SetAttr {
    /// # Safety
    ///
    /// `ptr` is valid and exclusive for `'a`.
    pub(crate) unsafe fn from_raw_mut<'a>(ptr: *mut raw::iattr) -> &'a mut Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &mut *ptr.cast() }
    }

    fn new(valid: u32) -> Self {
        Self(raw::iattr {
            ia_valid: valid,
            ..Default::default()
        })
    }

    /// Sets type and permissions.
    pub fn mode(mode: Mode) -> Self {
        let mut attr = Self::new(raw::ATTR_MODE);
        attr.0.ia_mode = mode.0;
        attr
    }

    /// Sets the size in bytes.
    pub fn size(size: i64) -> Self {
        let mut attr = Self::new(raw::ATTR_SIZE);
        attr.0.ia_size = size;
        attr
    }

    /// Sets permissions, owner, group and times to those of `stat`, in one step; a
    /// symbolic link has no permissions of its own.
    pub fn all_of(stat: &Stat) -> Self {
        let mut attr = Self::times_of(stat);
        attr.0.ia_valid |= raw::ATTR_UID | raw::ATTR_GID;
        if !stat.mode().is_symlink() {
            attr.0.ia_valid |= raw::ATTR_MODE;
            attr.0.ia_mode = stat.0.mode;
        }
        attr.0.__bindgen_anon_1.ia_vfsuid = raw::vfsuid_t {
            val: stat.0.uid.val,
        };
        attr.0.__bindgen_anon_2.ia_vfsgid = raw::vfsgid_t {
            val: stat.0.gid.val,
        };
        attr
    }

    /// Sets access and modification time to those of `stat`.
    pub fn times_of(stat: &Stat) -> Self {
        let mut attr = Self::new(
            raw::ATTR_ATIME
                | raw::ATTR_MTIME
                | raw::ATTR_ATIME_SET
                | raw::ATTR_MTIME_SET
                | raw::ATTR_CTIME,
        );
        attr.0.ia_atime = stat.0.atime;
        attr.0.ia_mtime = stat.0.mtime;
        attr
    }

    /// Sets the modification time to that of `stat`.
    pub fn mtime_of(stat: &Stat) -> Self {
        let mut attr = Self::new(raw::ATTR_MTIME | raw::ATTR_MTIME_SET | raw::ATTR_CTIME);
        attr.0.ia_mtime = stat.0.mtime;
        attr
    }

    /// Drops the set-group-id bit, see `ATTR_KILL_SGID`.
    pub fn kill_sgid() -> Self {
        Self::new(raw::ATTR_KILL_SGID)
    }

    /// Whether the size changes.
    pub fn changes_size(&self) -> bool {
        self.0.ia_valid & raw::ATTR_SIZE != 0
    }

    /// Checks that the caller may make this change: see `setattr_prepare()`.
    pub fn prepare(&mut self, idmap: IdMap<'_>, dentry: &Dentry) -> Result {
        // SAFETY: All are valid; the inode is locked by the caller of `setattr`.
        to_result(unsafe { raw::setattr_prepare(idmap.as_ptr(), dentry.as_ptr(), &mut self.0) })
    }

    /// Makes the change fit for the inode that a stacked `inode` stands for:
    /// owners from a mount with `idmap` into the id space of the filesystem, no
    /// mode beside the request to drop set-id bits, no file, and not as part of
    /// an open.
    pub fn rebase(&mut self, idmap: IdMap<'_>, inode: &Inode) {
        // SAFETY: All are valid.
        unsafe { raw::vfs_shim_rebase_ids(idmap.as_ptr(), inode.as_ptr(), &mut self.0) };
        if self.0.ia_valid & (raw::ATTR_KILL_SUID | raw::ATTR_KILL_SGID) != 0 {
            self.0.ia_valid &= !raw::ATTR_MODE;
        }
        self.0.ia_valid &= !(raw::ATTR_FILE | raw::ATTR_OPEN);
    }

    /// Applies the change to `dentry` seen through a mount with `idmap`: see
    /// `notify_change()`.
    ///
    /// Takes the inode lock; the caller has write access to the mount.
    pub fn apply(&mut self, path: PathRef<'_>) -> Result {
        let _lock = path.inode()?.lock();
        self.apply_locked(path)
    }

    /// As [`SetAttr::apply`] for a caller that holds the inode lock.
    pub(crate) fn apply_locked(&mut self, path: PathRef<'_>) -> Result {
        // SAFETY: All are valid and the inode is locked.
        to_result(unsafe {
            raw::notify_change(
                path.mount().idmap().as_ptr(),
                path.dentry().as_ptr(),
                &mut self.0,
                core::ptr::null_mut(),
            )
        })
    }
}
