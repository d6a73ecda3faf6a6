//! The file behind a mapping, opened through the view of the process that mapped it.
//!
//! A path alone proves nothing: the process may be in a container, the file deleted or replaced. So
//! what was opened must be the mapping's inode. Nothing here looks into the file.

use std::ffi::CString;
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use crate::perf_record::Mapping;

/// Open descriptors of one process that are looked through for a file without a path.
const DESCRIPTORS_MAX: usize = 1024;
/// `OVERLAYFS_SUPER_MAGIC` of include/uapi/linux/magic.h.
const OVERLAYFS_MAGIC: i64 = 0x794c_7630;
/// `AT_HANDLE_FID` of include/uapi/linux/fcntl.h (Linux 6.6).
const AT_HANDLE_FID: i32 = 0x200;
const MAX_HANDLE_BYTES: usize = 128;
/// fs/overlayfs/overlayfs.h: three bytes of padding, then version, magic, length, flags, type.
const OVERLAY_HANDLE_UUID: usize = 8;
const OVERLAY_HANDLE_FID: usize = 24;

/// Which file it is, whatever name and mount it is seen through.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKey {
    /// A file of an ordinary filesystem.
    Inode {
        /// As stat(2) tells it.
        device: u64,
        /// As stat(2) tells it.
        inode: u64,
    },
    /// A file of an overlay's layer: uprobes are set on that one, and containers share it.
    Layer {
        /// Of the layer's filesystem; zeroes where it has none.
        uuid: Vec<u8>,
        /// In the layer.
        file: Content,
    },
}

/// A file by what its filesystem calls it, and its times. The same for a layer's file and for the
/// overlays above it, which have no other fact in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Content {
    handle: Vec<u8>,
    stamp: Stamp,
    changed_ns: i128,
}

/// When it differs, the bytes of the file may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    bytes: u64,
    modified_ns: i128,
}

/// A file that was opened for reading, without waiting for anything.
pub struct Executable {
    /// Only for positional reads.
    pub file: File,
    /// The identity by its name in the filesystem.
    pub key: FileKey,
    /// None where the filesystem tells no handle.
    pub content: Option<Content>,
    /// At the time it was opened.
    pub stamp: Stamp,
}

/// Why a mapping's file is not at hand.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    /// The process ended, or mapped something else: nothing is missing.
    Gone,
    /// A device, pipe, or the like.
    NotRegular,
    /// It is mapped, but no name leads to it.
    Unreachable(String),
}

/// Opens the file of `mapping`.
pub fn open(mapping: &Mapping) -> Result<Executable, Missing> {
    let mut reason = None;
    for place in [by_mapping, by_path, by_executable, by_descriptor] {
        match place(mapping) {
            Ok(Some(found)) => return read(&found),
            Ok(None) => {}
            Err(error) => {
                reason.get_or_insert(error);
            }
        }
    }
    if !std::path::Path::new(&format!("/proc/{}/exe", mapping.pid)).exists() {
        return Err(Missing::Gone);
    }
    let why = reason.map_or("it was deleted or replaced".to_owned(), |error| error.to_string());
    Err(Missing::Unreachable(why))
}

/// Leads to the very inode, but takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN: only for the processes
/// that are found at start.
fn by_mapping(mapping: &Mapping) -> Result<Option<OwnedFd>, Error> {
    let Mapping { pid, address, end, .. } = mapping;
    // Not the reason to tell: it is the expected one.
    let Ok(file) = follow(&format!("/proc/{pid}/map_files/{address:x}-{end:x}")) else {
        return Ok(None);
    };
    Ok(is_mapped(&file, mapping)?.then_some(file))
}

fn by_path(mapping: &Mapping) -> Result<Option<OwnedFd>, Error> {
    let root = follow(&format!("/proc/{}/root", mapping.pid))?;
    let path = mapping.path.as_slice();
    let file = match open_beneath(&root, path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    Ok(is_mapped(&file, mapping)?.then_some(file))
}

fn by_executable(mapping: &Mapping) -> Result<Option<OwnedFd>, Error> {
    let file = follow(&format!("/proc/{}/exe", mapping.pid))?;
    Ok(is_mapped(&file, mapping)?.then_some(file))
}

/// For memfds and deleted files, which are often still open.
fn by_descriptor(mapping: &Mapping) -> Result<Option<OwnedFd>, Error> {
    for entry in std::fs::read_dir(format!("/proc/{}/fd", mapping.pid))?.take(DESCRIPTORS_MAX) {
        let Ok(file) = follow(entry?.path().to_string_lossy().as_ref()) else { continue };
        if is_mapped(&file, mapping)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Before Linux 6.8 the kernel tells the inode of an overlay's layer, of which nothing else is known.
fn is_mapped(file: &OwnedFd, mapping: &Mapping) -> Result<bool, Error> {
    let status = status(file.as_fd())?;
    Ok(is_regular(&status) && (status.st_ino == mapping.inode || hides_its_layer(file)))
}

fn hides_its_layer(file: &OwnedFd) -> bool {
    is_overlay(file.as_fd()) && handle(file.as_fd()).is_none()
}

/// The file of a descriptor that was opened as a path only, so that opening had no effect yet.
fn read(found: &OwnedFd) -> Result<Executable, Missing> {
    let unreachable = |error: Error| Missing::Unreachable(error.to_string());
    if !is_regular(&status(found.as_fd()).map_err(unreachable)?) {
        return Err(Missing::NotRegular);
    }
    let path = descriptor_path(found.as_raw_fd());
    // Somebody's lease on the file could make a waiting open wait for a minute.
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: the path is NUL-terminated.
    let file = owned(unsafe { libc::open(path.as_ptr(), flags) }).map_err(unreachable)?;
    identify(File::from(file)).map_err(unreachable)
}

/// The file in which a process names the code that it compiled, if that is its own or root's: /tmp is
/// everybody's.
pub fn perf_map(pid: u32, namespace_pid: u32, uid: u32) -> Option<Executable> {
    let root = follow(&format!("/proc/{pid}/root")).ok()?;
    let found = open_beneath(&root, format!("/tmp/perf-{namespace_pid}.map").as_bytes()).ok()?;
    let owner = status(found.as_fd()).ok()?.st_uid;
    if owner != uid && owner != 0 {
        return None;
    }
    read(&found).ok()
}

/// Tells which file it is.
pub fn identify(file: File) -> Result<Executable, Error> {
    let status = status(file.as_fd())?;
    let stamp = stamp(&status);
    let changed_ns = nanoseconds(status.st_ctime, status.st_ctime_nsec);
    let plain = FileKey::Inode { device: status.st_dev, inode: status.st_ino };
    let handle = handle(file.as_fd());
    let (key, content) = match handle {
        None => (plain, None),
        Some(handle) if is_overlay(file.as_fd()) && handle.len() > OVERLAY_HANDLE_FID + 4 => {
            // As of a plain handle: the type goes before the bytes, which may be padded.
            let uuid = handle[4 + OVERLAY_HANDLE_UUID..4 + OVERLAY_HANDLE_FID].to_vec();
            let kind = handle[4 + OVERLAY_HANDLE_UUID - 1];
            let bytes = &handle[4 + OVERLAY_HANDLE_FID..];
            let file = Content { handle: tagged(kind.into(), bytes), stamp, changed_ns };
            (FileKey::Layer { uuid, file: file.clone() }, Some(file))
        }
        Some(handle) => (plain, Some(Content { handle, stamp, changed_ns })),
    };
    Ok(Executable { file, key, content, stamp })
}

/// The stamp of an open file now, and whether any name still leads to it.
pub fn current(file: &File) -> Result<(Stamp, bool), Error> {
    let status = status(file.as_fd())?;
    Ok((stamp(&status), status.st_nlink > 0))
}

/// `/proc/self/fd/N`, which leads to the file whatever its mount namespace.
pub fn descriptor_path(fd: RawFd) -> CString {
    CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default()
}

/// Follows a link of /proc, which needs no path to what it leads to.
fn follow(link: &str) -> Result<OwnedFd, Error> {
    let link = CString::new(link)?;
    // SAFETY: the path is NUL-terminated.
    owned(unsafe { libc::open(link.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) })
}

/// The kernel's paths have no symbolic links, so one found now was not there then.
fn open_beneath(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Error> {
    let path = CString::new(std::ffi::OsStr::from_bytes(path).as_bytes())?;
    // SAFETY: all-zero bytes are a valid open_how.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    let (at, name) = (root.as_raw_fd(), path.as_ptr());
    // SAFETY: path and structure are valid during the call; the size is that of the structure.
    let fd =
        unsafe { libc::syscall(libc::SYS_openat2, at, name, &raw const how, size_of_val(&how)) };
    owned(i32::try_from(fd).unwrap_or(-1))
}

fn owned(fd: RawFd) -> Result<OwnedFd, Error> {
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn status(fd: BorrowedFd<'_>) -> Result<libc::stat, Error> {
    // SAFETY: all-zero bytes are a valid result, and it is written by the call only.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `status` is a valid place for the result.
    match unsafe { libc::fstat(fd.as_raw_fd(), &raw mut status) } {
        0 => Ok(status),
        _ => Err(Error::last_os_error()),
    }
}

fn is_regular(status: &libc::stat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFREG
}

fn stamp(status: &libc::stat) -> Stamp {
    let bytes = u64::try_from(status.st_size).unwrap_or(0);
    Stamp { bytes, modified_ns: nanoseconds(status.st_mtime, status.st_mtime_nsec) }
}

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}

fn is_overlay(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: all-zero bytes are a valid result, and it is written by the call only.
    let mut status: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `status` is a valid place for the result.
    let result = unsafe { libc::fstatfs(fd.as_raw_fd(), &raw mut status) };
    result == 0 && status.f_type == OVERLAYFS_MAGIC
}

/// Type and bytes of the file's handle: for telling files apart, not for opening them.
fn handle(fd: BorrowedFd<'_>) -> Option<Vec<u8>> {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        data: [u8; MAX_HANDLE_BYTES],
    }
    let mut handle =
        Handle { bytes: MAX_HANDLE_BYTES as u32, kind: 0, data: [0; MAX_HANDLE_BYTES] };
    let (mut mount, flags) = (0_i32, libc::AT_EMPTY_PATH | AT_HANDLE_FID);
    let (fd, name) = (fd.as_raw_fd(), c"".as_ptr());
    let place = (&raw mut handle).cast::<libc::c_void>();
    // SAFETY: the structure has room for the bytes it says, and all pointers are valid.
    let result = unsafe {
        libc::syscall(libc::SYS_name_to_handle_at, fd, name, place, &raw mut mount, flags)
    };
    let data = handle.data.get(..handle.bytes as usize)?;
    (result == 0).then(|| tagged(handle.kind, data))
}

fn tagged(kind: i32, data: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend_from_slice(data);
    while bytes.len() > 4 && bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process_maps;

    fn own_mapping() -> Mapping {
        let own = std::env::current_exe().unwrap();
        process_maps::executable_mappings(std::process::id())
            .into_iter()
            .find(|mapping| mapping.path == own.as_os_str().as_bytes())
            .unwrap()
    }

    #[test]
    fn every_way_leads_to_the_same_file() {
        let mapping = own_mapping();
        let expected = identify(File::open("/proc/self/exe").unwrap()).unwrap().key;
        for place in [by_path, by_executable] {
            let found = place(&mapping).unwrap().unwrap();
            assert_eq!(read(&found).unwrap_or_else(|_| panic!()).key, expected);
        }
        assert!(open(&mapping).is_ok_and(|executable| executable.key == expected));
    }

    #[test]
    fn another_file_in_its_place_is_not_taken() {
        let mapping = Mapping { path: b"/etc/passwd".into(), ..own_mapping() };
        assert!(by_path(&mapping).unwrap().is_none());
        let mapping = Mapping { inode: mapping.inode + 1, address: 0, end: 0, ..own_mapping() };
        assert!(matches!(open(&mapping), Err(Missing::Unreachable(_))));
    }

    #[test]
    fn a_process_that_ended_is_no_loss() {
        let mapping = Mapping { pid: 0x3fff_ffff, ..own_mapping() };
        assert!(matches!(open(&mapping), Err(Missing::Gone)));
    }

    #[test]
    fn a_device_is_not_opened() {
        let found = follow("/dev/null").unwrap();
        assert!(matches!(read(&found), Err(Missing::NotRegular)));
    }

    #[test]
    fn a_changed_file_has_another_stamp() {
        let path = std::env::temp_dir().join(format!("stamp-{}", std::process::id()));
        std::fs::write(&path, "one").unwrap();
        let executable = identify(File::open(&path).unwrap()).unwrap();
        assert_eq!(current(&executable.file).unwrap(), (executable.stamp, true));
        std::fs::write(&path, "three").unwrap();
        assert_ne!(current(&executable.file).unwrap().0, executable.stamp);
        std::fs::remove_file(&path).unwrap();
        assert!(!current(&executable.file).unwrap().1);
    }
}
