// SPDX-License-Identifier: GPL-2.0

//! Files of sysfs that show numbers.
//!
//! A registered filesystem type has the directory `/sys/fs/TYPE`; a mounted
//! filesystem may have a file in it, [`Numbers`], whose name is the device number
//! that `stat(2)` and `/proc/PID/mountinfo` tell it by. It is one file with a name and a number
//! in each line, as `commit_stats` of btrfs and `stats` of XFS are: one for each number would
//! be made and removed with each mount.
//!
//! A file that is open when it is removed stays so, and fails with
//! `ENODEV`: from then on nothing of the module is called or read for it. This is
//! why it is not `kernel::debugfs`: closing a file there looks at the table of its
//! operations, which is in the module and does not hold it, so that it may have been
//! unloaded.
//!
//! C headers: [`include/linux/kobject.h`](srctree/include/linux/kobject.h),
//! [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use crate::raw;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// A number of a `T`, and what it is called.
pub struct Number<T> {
    /// What it is called: one word.
    pub name: &'static CStr,
    /// Asks for it.
    pub value: fn(&T) -> u64,
}

/// A directory in `/sys/fs`. Dropping it removes it, when what is in it is gone.
///
/// # Invariants
///
/// The pointer is a reference to a `struct kobject` that is in sysfs.
pub(crate) struct Dir(NonNull<raw::kobject>);

impl Dir {
    /// Makes the directory `/sys/fs/NAME`. Fails with `ENOMEM`, also if there is one
    /// already.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: `fs_kobj` is set when the kernel has booted, and never goes.
        let kobj = unsafe { raw::kobject_create_and_add(name.as_char_ptr(), raw::fs_kobj) };
        // INVARIANT: What is returned is in sysfs.
        NonNull::new(kobj).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { raw::kobject_put(self.0.as_ptr()) };
    }
}

/// A file that shows numbers of a `T`, a name and a number in each line, and that only root can
/// read. Dropping it removes it, and waits for those who read it.
///
/// # Invariants
///
/// The file is in sysfs, in the directory that it holds, and the module is held.
pub struct Numbers<T: Send + Sync + 'static>(Pin<KBox<File<T>>>);

#[pin_data]
struct File<T: 'static> {
    #[pin]
    attribute: Opaque<raw::kobj_attribute>,
    #[pin]
    name: Opaque<[c_char; NAME_SIZE]>,
    numbers: &'static [Number<T>],
    data: Arc<T>,
    dir: *mut raw::kobject,
    /// Whose functions and static memory the file leads to: held, so that it stays also if
    /// this is never dropped.
    module: *mut raw::module,
}

/// What a device number takes as text: see `format_dev_t()`.
const NAME_SIZE: usize = 16;

// SAFETY: The functions on the C objects may be called by any task.
unsafe impl<T: Send + Sync + 'static> Send for Numbers<T> {}
// SAFETY: As above; there are no methods.
unsafe impl<T: Send + Sync + 'static> Sync for Numbers<T> {}

impl<T: Send + Sync + 'static> Numbers<T> {
    /// Makes the file of the device `dev` in `dir`.
    ///
    /// Sleeps. Fails with `ENOMEM`, or `EEXIST`.
    ///
    /// # Safety
    ///
    /// `module` is the one that this code is in, which somebody holds, or null if it is
    /// built in.
    pub(crate) unsafe fn new(
        module: *mut raw::module,
        dir: &Dir,
        dev: raw::dev_t,
        data: Arc<T>,
        numbers: &'static [Number<T>],
    ) -> Result<Self> {
        let file = KBox::pin_init(
            pin_init!(File {
                // SAFETY: An all-zero attribute is valid, and has no functions and no key.
                attribute: Opaque::new(unsafe { core::mem::zeroed() }),
                name: Opaque::new([0; NAME_SIZE]),
                numbers,
                data,
                dir: dir.0.as_ptr(),
                module,
            }),
            GFP_KERNEL,
        )?;
        let attribute = file.attribute.get();
        // SAFETY: Nobody else has the attribute yet. It is pinned as the name is, which there is
        // room for; the directory is in sysfs.
        to_result(unsafe {
            (*attribute).attr.mode = 0o400;
            (*attribute).__bindgen_anon_1.show = Some(Self::show);
            raw::vfs_shim_sysfs_create_dev_file(file.dir, attribute, file.name.get().cast(), dev)
        })?;
        // SAFETY: The directory is valid, and by the safety requirements so is the module.
        unsafe {
            raw::kobject_get(file.dir);
            raw::__module_get(module);
        }
        // INVARIANT: All of it was just done.
        Ok(Self(file))
    }

    /// # Safety
    ///
    /// `kobj_attribute.show`.
    unsafe extern "C" fn show(
        _dir: *mut raw::kobject,
        attribute: *mut raw::kobj_attribute,
        buf: *mut c_char,
    ) -> isize {
        // SAFETY: The attribute is that of a `File<T>`, which stays while it is being read.
        let file =
            unsafe { &*kernel::container_of!(Opaque::cast_from(attribute), File<T>, attribute) };
        let mut length: c_int = 0;
        for number in file.numbers {
            let (name, value) = (number.name.as_char_ptr(), (number.value)(&file.data));
            // SAFETY: `buf` is a page, at most whose rest is written.
            length += unsafe { raw::vfs_shim_sysfs_emit_at(buf, length, name, value) };
        }
        length as isize
    }
}

impl<T: Send + Sync + 'static> Drop for Numbers<T> {
    fn drop(&mut self) {
        let file = &self.0;
        // SAFETY: By the type invariants. Nobody reads the file once it is removed. Whoever drops
        // this is code of the module, and holds it.
        unsafe {
            raw::vfs_shim_sysfs_remove_file(file.dir, file.attribute.get());
            raw::kobject_put(file.dir);
            raw::module_put(file.module);
        }
    }
}
