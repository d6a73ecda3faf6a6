//! Uprobes on one file: many in one link where the kernel can (Linux 6.6), one link each elsewhere.

use std::ffi::CStr;
use std::io::Error;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libbpf_rs::Btf;
use libbpf_rs::btf::types::Enum;
use libbpf_rs::libbpf_sys::{self, BPF_PERF_EVENT, BPF_TRACE_UPROBE_MULTI, bpf_link_create_opts};

use crate::perf;

/// Uprobes in one link. Attaching holds locks of the kernel for as long as it takes.
const POINTS_PER_LINK_MAX: usize = 1024;
/// `BPF_F_UPROBE_MULTI_RETURN` of include/uapi/linux/bpf.h.
const MULTI_RETURN: u32 = 1;

/// How uprobes are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attaching {
    /// Many by one link.
    Multi,
    /// Each by a perf event and a link of its own.
    Single {
        /// The number of the PMU.
        kind: u32,
    },
}

/// One place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// In the file.
    pub offset: u64,
    /// What the program is given at this place.
    pub cookie: u64,
}

/// Attached uprobes; they are detached when it is dropped.
#[derive(Debug)]
pub struct UprobeLink {
    // The link goes before the event it is on.
    _link: OwnedFd,
    _event: Option<OwnedFd>,
}

/// What attaching achieved.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is attached.
    pub links: Vec<UprobeLink>,
    /// Points that the kernel refused.
    pub refused: usize,
    /// Why the first of them was.
    pub error: Option<Error>,
}

/// How programs are attached that were loaded for single uprobes, or for many.
pub fn attaching(single: bool) -> Result<Attaching, Error> {
    if !single {
        return Ok(Attaching::Multi);
    }
    perf::uprobe_kind().map(|kind| Attaching::Single { kind })
}

/// Whether the kernel has links of many uprobes.
pub fn has_multi_links() -> bool {
    let Ok(btf) = Btf::from_vmlinux() else { return false };
    let kinds = btf.type_by_name::<Enum<'_>>("bpf_attach_type");
    kinds.is_some_and(|kinds| {
        kinds.iter().any(|kind| kind.name.is_some_and(|name| name == "BPF_TRACE_UPROBE_MULTI"))
    })
}

/// Attaches `program` to all points of the file that `path` leads to. A point that the kernel refuses
/// (an instruction that it can't step over) leaves the others alone.
pub fn attach(
    attaching: Attaching,
    program: BorrowedFd<'_>,
    path: &CStr,
    points: &[Point],
    returns: bool,
) -> Outcome {
    let mut outcome = Outcome::default();
    match attaching {
        Attaching::Multi => points
            .chunks(POINTS_PER_LINK_MAX)
            .for_each(|points| attach_chunk(program, path, points, returns, &mut outcome)),
        Attaching::Single { kind } => {
            for point in points {
                match attach_single(kind, program, path, *point, returns) {
                    Ok(link) => outcome.links.push(link),
                    Err(error) => outcome.refuse(1, error),
                }
            }
        }
    }
    outcome
}

/// One refused point refuses its link: halves find it.
fn attach_chunk(
    program: BorrowedFd<'_>,
    path: &CStr,
    points: &[Point],
    returns: bool,
    outcome: &mut Outcome,
) {
    match attach_multi(program, path, points, returns) {
        Ok(link) => outcome.links.push(link),
        Err(error) if points.len() == 1 || !is_of_a_point(&error) => {
            outcome.refuse(points.len(), error);
        }
        Err(_) => {
            let (first, second) = points.split_at(points.len() / 2);
            attach_chunk(program, path, first, returns, outcome);
            attach_chunk(program, path, second, returns, outcome);
        }
    }
}

/// Other errors would be the same for each part.
fn is_of_a_point(error: &Error) -> bool {
    const ENOTSUPP: i32 = 524;
    let codes = [libc::EINVAL, libc::EOPNOTSUPP, ENOTSUPP, libc::EIO, libc::ENOEXEC, libc::EFAULT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

fn attach_multi(
    program: BorrowedFd<'_>,
    path: &CStr,
    points: &[Point],
    returns: bool,
) -> Result<UprobeLink, Error> {
    let offsets: Vec<u64> = points.iter().map(|point| point.offset).collect();
    let cookies: Vec<u64> = points.iter().map(|point| point.cookie).collect();
    let mut options = new_options();
    // SAFETY: all variants of the union are plain numbers and pointers, and it is all zeroes.
    let multi = unsafe { &mut options.__bindgen_anon_1.uprobe_multi };
    multi.flags = if returns { MULTI_RETURN } else { 0 };
    multi.cnt = u32::try_from(points.len()).unwrap_or(u32::MAX);
    multi.path = path.as_ptr();
    multi.offsets = offsets.as_ptr().cast();
    multi.cookies = cookies.as_ptr();
    create(program, 0, BPF_TRACE_UPROBE_MULTI, &options)
        .map(|link| UprobeLink { _link: link, _event: None })
}

fn attach_single(
    kind: u32,
    program: BorrowedFd<'_>,
    path: &CStr,
    point: Point,
    returns: bool,
) -> Result<UprobeLink, Error> {
    let event = perf::open_uprobe(kind, path, point.offset, returns)?;
    let mut options = new_options();
    options.__bindgen_anon_1.perf_event.bpf_cookie = point.cookie;
    create(program, event.as_raw_fd(), BPF_PERF_EVENT, &options)
        .map(|link| UprobeLink { _link: link, _event: Some(event) })
}

fn new_options() -> bpf_link_create_opts {
    bpf_link_create_opts { sz: size_of::<bpf_link_create_opts>() as u64, ..Default::default() }
}

fn create(
    program: BorrowedFd<'_>,
    target: i32,
    kind: libbpf_sys::bpf_attach_type,
    options: &bpf_link_create_opts,
) -> Result<OwnedFd, Error> {
    // SAFETY: the options and what they point to are valid during the call, which copies them.
    let fd = unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), target, kind, options) };
    if fd < 0 {
        return Err(Error::from_raw_os_error(-fd));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Outcome {
    fn refuse(&mut self, points: usize, error: Error) {
        self.refused += points;
        self.error.get_or_insert(error);
    }
}
