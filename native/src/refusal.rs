//! Turns what libbpf and the kernel say into a reason and a hint.

use std::collections::VecDeque;
use std::sync::Mutex;

use libbpf_rs::{ErrorKind, PrintLevel, set_print};

use crate::hook::Refusal;

/// Lines of libbpf's log that are kept for the reason.
const LOG_LINES_MAX: usize = 64;
const REASON_CHARS_MAX: usize = 300;

static LOG: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Keeps libbpf's messages instead of printing them.
pub fn keep_libbpf_log() {
    set_print(Some((PrintLevel::Warn, |_, message| {
        let mut log = LOG.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for line in message.lines().filter(|line| !line.trim().is_empty()) {
            if log.len() == LOG_LINES_MAX {
                log.pop_front();
            }
            log.push_back(line.to_owned());
        }
    })));
}

/// Takes the lines kept since the last call.
pub fn take_libbpf_log() -> Vec<String> {
    LOG.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..).collect()
}

/// The program that the kernel refused, when the log names one.
pub fn refused_program(log: &[String]) -> Option<String> {
    log.iter().find_map(|line| {
        let rest = line.split_once("prog '")?.1;
        let (program, said) = rest.split_once('\'')?;
        said.contains("failed").then(|| program.to_owned())
    })
}

/// Explains a failed `step` ("load", "attach to sched_process_exec").
pub fn explain(step: &str, error: &libbpf_rs::Error, log: &[String]) -> Refusal {
    let kind = error.kind();
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Refusal::new(
            "the kernel has no type information (BTF)",
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (most distributions since 2021)",
        );
    }
    if kind == ErrorKind::PermissionDenied && verifier_says(log).is_none() {
        return Refusal::new(
            format!("the kernel did not permit to {step}"),
            "run as root, or give the probe CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before 5.8); \
             in a container also allow the bpf and perf_event_open system calls; lockdown in \
             confidentiality mode forbids it altogether",
        );
    }
    let reason = match verifier_says(log) {
        Some(verdict) => format!("the kernel's verifier refused the program: {verdict}"),
        None => format!("failed to {step}: {}", libbpf_says(log).unwrap_or(error.to_string())),
    };
    // Said of tracepoints, kernel functions and fields alike.
    let lacks = kind == ErrorKind::NotFound || reason.contains("failed to find kernel BTF");
    Refusal::new(reason.chars().take(REASON_CHARS_MAX).collect::<String>(), hint(kind, lacks))
}

fn hint(kind: ErrorKind, lacks: bool) -> &'static str {
    match kind {
        _ if lacks => "the kernel lacks what this hook needs; a newer one may have it",
        ErrorKind::OutOfMemory => "choose a smaller ring or raise the memory limit of the cgroup",
        _ => "report it with the output of `runtime-evidence-probe check` and `uname -a`",
    }
}

/// The verifier's verdict: its last line before the statistics.
fn verifier_says(log: &[String]) -> Option<String> {
    let end = log.iter().rposition(|line| line.contains("END PROG LOAD LOG"))?;
    log[..end]
        .iter()
        .rev()
        .take_while(|line| !line.contains("BEGIN PROG LOAD LOG"))
        .find(|line| !line.starts_with("processed ") && !line.starts_with("verification time"))
        .cloned()
}

/// Its first warning: the later ones are consequences.
fn libbpf_says(log: &[String]) -> Option<String> {
    log.first().map(|line| line.trim_start_matches("libbpf: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_verdict_of_the_verifier_is_the_reason() {
        let log = lines(
            "libbpf: prog 'on_open': BPF program load failed: Permission denied\n\
             libbpf: prog 'on_open': -- BEGIN PROG LOAD LOG --\n\
             0: (79) r6 = *(u64 *)(r1 +0)\n\
             R1 invalid mem access 'scalar'\n\
             processed 4 insns (limit 1000000) max_states_per_insn 0\n\
             -- END PROG LOAD LOG --\n\
             libbpf: prog 'on_open': failed to load: -13\n\
             libbpf: failed to load object 'file_open'",
        );
        assert_eq!(refused_program(&log).as_deref(), Some("on_open"));
        let error = libbpf_rs::Error::from_raw_os_error(libc::EACCES);
        let refusal = explain("load the program", &error, &log);
        assert!(refusal.reason.contains("R1 invalid mem access 'scalar'"), "{}", refusal.reason);
    }

    #[test]
    fn a_missing_capability_says_which_to_give() {
        let error = libbpf_rs::Error::from_raw_os_error(libc::EPERM);
        let refusal = explain("load the program", &error, &[]);
        assert!(refusal.hint.contains("CAP_BPF and CAP_PERFMON"));
    }

    #[test]
    fn a_reason_has_a_limit() {
        let error = libbpf_rs::Error::from_raw_os_error(libc::EINVAL);
        let refusal = explain("load", &error, &["x".repeat(10_000)]);
        assert_eq!(refusal.reason.chars().count(), REASON_CHARS_MAX);
    }
}
