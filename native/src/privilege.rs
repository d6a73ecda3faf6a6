//! Phase 4: give up every privilege before the first event is delivered.
//!
//! Without uprobes nothing more will be attached, so no capability is kept at all. What is already open
//! (programs, rings, mapped counters) keeps working. With uprobes four capabilities stay, for files that
//! processes map later.

use std::collections::BTreeMap;

use caps::{CapSet, Capability};
use libbpf_rs::libbpf_sys::{BPF_LINK_CREATE, BPF_MAP_UPDATE_ELEM, BPF_OBJ_GET_INFO_BY_FD};
use libc::{c_int, c_long, c_ulong};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::config::User;
use crate::diagnostics::Failure;

/// `PERF_EVENT_IOC_DISABLE` of include/uapi/linux/perf_event.h: libbpf detaches with it.
const PERF_EVENT_IOC_DISABLE: u64 = 0x2401;

/// What the rest of the run needs privileges for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing more is attached: none.
    Nothing,
    /// Uprobes are attached to files of others for as long as the capture runs.
    Uprobes,
}

/// Link a program; learn of mappings; look at other users' processes; read their files.
const FOR_UPROBES: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Becomes `user` (root only), drops all capabilities, and locks the door behind.
pub fn drop_all(user: Option<User>) -> Result<(), Failure> {
    reduce(user, Needs::Nothing)?;
    lock(Needs::Nothing)
}

/// Becomes `user` (root only) and keeps no capability but what is needed. Threads that are started from
/// here on have the same.
pub fn reduce(user: Option<User>, needs: Needs) -> Result<(), Failure> {
    clear_bounding_set()?;
    prctl("keep capabilities", libc::PR_SET_KEEPCAPS, (needs == Needs::Uprobes).into())?;
    // SAFETY: geteuid has no preconditions.
    if let Some(user) = user.filter(|_| unsafe { libc::geteuid() } == 0) {
        become_user(user)?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(|error| failed(&format!("clear {set:?}: {error}")))?;
    }
    let permitted = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let kept = FOR_UPROBES.into_iter().filter(|_| needs == Needs::Uprobes);
    let kept = kept.filter(|capability| permitted.contains(capability)).collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(|error| failed(&format!("set {set:?}: {error}")))?;
    }
    prctl("forget capabilities", libc::PR_SET_KEEPCAPS, 0)?;
    prctl("set no_new_privs", libc::PR_SET_NO_NEW_PRIVS, 1)?;
    // Nobody but root may trace this process or read its memory.
    prctl("become undumpable", libc::PR_SET_DUMPABLE, 0)
}

/// From here on no thread can make a system call that is not needed.
pub fn lock(needs: Needs) -> Result<(), Failure> {
    let filter =
        system_calls(needs).map_err(|error| failed(&format!("build a filter: {error}")))?;
    seccompiler::apply_filter_all_threads(&filter)
        .map_err(|error| failed(&format!("filter: {error}")))
}

/// The same for the keeper, which also starts pumps. They inherit it, and then `lock` themselves.
pub fn lock_keeper(needs: Needs) -> Result<(), Failure> {
    let filter =
        keeper_system_calls(needs).map_err(|error| failed(&format!("build a filter: {error}")))?;
    seccompiler::apply_filter(&filter).map_err(|error| failed(&format!("filter: {error}")))
}

/// Takes CAP_SETPCAP. A process without it cannot widen its capabilities anyway: no_new_privs follows.
fn clear_bounding_set() -> Result<(), Failure> {
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        return Ok(());
    }
    // By number, until the kernel knows no more: also those that no library has a name for.
    for capability in 0..c_ulong::from(u64::BITS) {
        // SAFETY: this option takes a number and no pointer.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            let error = std::io::Error::last_os_error();
            let past_the_last = error.raw_os_error() == Some(libc::EINVAL);
            return if past_the_last { Ok(()) } else { Err(failed(&format!("bounding: {error}"))) };
        }
    }
    Ok(())
}

/// Groups first, for they take the privilege that the change of the user ends.
fn become_user(User { uid, gid }: User) -> Result<(), Failure> {
    // SAFETY: a list of no groups is not read; the other calls take numbers only.
    let steps = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(gid, gid, gid) == 0
            && libc::setresuid(uid, uid, uid) == 0
    };
    if steps { Ok(()) } else { Err(Failure::os("privilege_kept", "become the unprivileged user")) }
}

fn prctl(what: &str, option: c_int, value: c_ulong) -> Result<(), Failure> {
    let unused: c_ulong = 0;
    // SAFETY: the options used here take a number and no pointer.
    match unsafe { libc::prctl(option, value, unused, unused, unused) } {
        0 => Ok(()),
        _ => Err(Failure::os("privilege_kept", what)),
    }
}

/// What delivering takes, and nothing else.
///
/// Anything else kills the process: a probe that does what it never does is taken over or broken, and
/// an error code would let it go on. The exporter sees the end and says so.
fn system_calls(needs: Needs) -> Result<BpfProgram, seccompiler::BackendError> {
    compile(rules(needs)?)
}

/// What keeping takes on top: to start and watch pumps, and what those do before they lock themselves.
fn keeper_system_calls(needs: Needs) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = rules(needs)?;
    rules.extend(FOR_KEEPING.iter().map(|call| (*call, Vec::new())));
    // The pump notes its own process id in a map.
    let update = when(0, SeccompCmpOp::Eq, BPF_MAP_UPDATE_ELEM.into())?;
    rules.entry(libc::SYS_bpf).or_default().extend(update);
    compile(rules)
}

/// By system call: what its arguments must be, one of the rules; no rule is any arguments.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn rules(needs: Needs) -> Result<Rules, seccompiler::BackendError> {
    let attaching = if needs == Needs::Uprobes { FOR_ATTACHING } else { &[] };
    let mut rules: Rules =
        ANY_ARGUMENTS.iter().chain(attaching).map(|call| (*call, Vec::new())).collect();
    // Memory yes, code no.
    let no_exec = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
    rules.insert(libc::SYS_mmap, when(2, no_exec.clone(), 0)?);
    rules.insert(libc::SYS_mprotect, when(2, no_exec, 0)?);
    // How often a program was skipped.
    let mut bpf = when(0, SeccompCmpOp::Eq, BPF_OBJ_GET_INFO_BY_FD.into())?;
    if needs == Needs::Uprobes {
        bpf.extend(when(0, SeccompCmpOp::Eq, BPF_LINK_CREATE.into())?);
        // For reading only: what is written goes to stdout and stderr.
        let writing = SeccompCmpOp::MaskedEq((libc::O_ACCMODE | libc::O_CREAT) as u64);
        rules.insert(libc::SYS_openat, when(2, writing.clone(), 0)?);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, when(1, writing, 0)?);
    }
    rules.insert(libc::SYS_bpf, bpf);
    rules.insert(libc::SYS_ioctl, when(1, SeccompCmpOp::Eq, PERF_EVENT_IOC_DISABLE)?);
    // The standard library checks with it, in debug builds, that what it closes is open.
    rules.insert(libc::SYS_fcntl, when(1, SeccompCmpOp::Eq, libc::F_GETFD as u64)?);
    Ok(rules)
}

fn compile(rules: Rules) -> Result<BpfProgram, seccompiler::BackendError> {
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?
        .try_into()
}

const ANY_ARGUMENTS: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// To find, open and read executables (`executable.rs`, `process_maps.rs`) and attach to them.
const FOR_ATTACHING: &[c_long] = &[
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_getpid,
    libc::SYS_lseek,
    libc::SYS_name_to_handle_at,
    libc::SYS_newfstatat,
    // Its flags are in memory, out of a filter's sight; it is used with O_PATH.
    libc::SYS_openat2,
    libc::SYS_perf_event_open,
    libc::SYS_pread64,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_sched_yield,
    libc::SYS_statx,
];

/// To start and watch pumps (`keeper.rs`), and to become one: output, wake-ups, thread, filter.
const FOR_KEEPING: &[c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_kill,
    libc::SYS_newfstatat,
    libc::SYS_pidfd_open,
    libc::SYS_prctl,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_seccomp,
    libc::SYS_set_robust_list,
    libc::SYS_uname,
    libc::SYS_wait4,
];

/// A rule on the lower half of one argument: all of the arguments looked at are ints.
fn when(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    Ok(vec![SeccompRule::new(vec![condition])?])
}

fn failed(what: &str) -> Failure {
    Failure::new("privilege_kept", format!("failed to give up privileges: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `child` in a process of its own under the filter. Returns its wait status.
    fn filtered(child: impl FnOnce() -> c_int) -> c_int {
        let filter = system_calls(Needs::Nothing).unwrap();
        // SAFETY: the child only makes the system calls of `child` and ends without returning.
        unsafe {
            let pid = libc::fork();
            assert!(pid >= 0);
            if pid == 0 {
                let code = if seccompiler::apply_filter(&filter).is_ok() { child() } else { 99 };
                libc::_exit(code);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
            status
        }
    }

    #[test]
    fn a_system_call_that_is_not_needed_kills() {
        // SAFETY: socket takes no pointer.
        let status = filtered(|| unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) });
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS);
    }

    #[test]
    fn no_memory_becomes_executable() {
        // SAFETY: a new mapping overlaps nothing, and the child ends without using it.
        let status = filtered(|| unsafe {
            let protection = libc::PROT_READ | libc::PROT_EXEC;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) as c_int
        });
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS);
    }

    #[test]
    fn a_panic_is_survived_and_told() {
        let status = filtered(|| {
            crate::diagnostics::report_panics();
            let died = std::panic::catch_unwind(|| panic!("of this test, in a filtered process"));
            c_int::from(died.is_err())
        });
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1);
    }

    #[test]
    fn what_delivering_takes_is_allowed() {
        let status = filtered(|| {
            let memory = vec![7_u8; 1 << 22];
            std::thread::sleep(std::time::Duration::from_millis(1));
            c_int::from(memory[1 << 21]) + std::panic::catch_unwind(|| 0).unwrap_or(1)
        });
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7);
    }
}
