//! One place in the kernel where a probe looks, and whether it looks there.

use serde::Serialize;

/// Why a hook is off, or less than it should be, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One sentence.
    pub reason: String,
    /// One sentence; empty when nothing can be done.
    pub hint: String,
}

impl Refusal {
    /// Both as sentences.
    pub fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: hint.into() }
    }
}

/// Whether a hook delivers events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Attached, or about to be.
    On,
    /// Not attached; the reason says why.
    Off,
}

/// As the hello frame and `check` show it.
#[derive(Clone, Debug, Serialize)]
pub struct Hook {
    /// The observation it belongs to.
    pub probe: &'static str,
    /// The tracepoint, or `uprobe:` and the function.
    pub hook: String,
    /// On or off.
    pub state: State,
    /// Of an off hook: why. Of an on hook: what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Hook {
    /// A hook that nothing has refused yet.
    pub fn on(probe: &'static str, hook: &str) -> Self {
        Self { probe, hook: hook.into(), state: State::On, reason: None, hint: None }
    }

    /// Turns it off. The first refusal stays: later ones are its consequences.
    pub fn refuse(&mut self, refusal: &Refusal) {
        if self.state == State::On {
            self.state = State::Off;
            self.note(refusal);
        }
    }

    /// Leaves it on but says what is missing, such as "sys_exit_openat is off".
    pub fn degrade(&mut self, missing: &str, refusal: &Refusal) {
        if self.state == State::On {
            let reason = format!("{missing}: {}", refusal.reason);
            self.note(&Refusal::new(reason, &refusal.hint));
        }
    }

    fn note(&mut self, refusal: &Refusal) {
        self.reason = Some(refusal.reason.clone());
        self.hint = (!refusal.hint.is_empty()).then(|| refusal.hint.clone());
    }
}

/// What a program is for, told from its section name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The last part of the section: the tracepoint, or what an iterator goes through.
    pub tracepoint: String,
    /// Set when the program is attached through tracefs: the tracepoint's directory there.
    pub tracefs_event: Option<String>,
    /// It completes what other programs of its object do. It counts no events as seen.
    pub completes: bool,
    /// It is attached to functions of files, by the thread that finds them.
    pub uprobe: bool,
    /// It runs once over what is there when the capture starts, instead of at events.
    pub iterates: bool,
}

impl Role {
    /// From a section name such as `tracepoint/syscalls/sys_enter_openat` or `tp_btf/…`.
    pub fn of_section(section: &str) -> Self {
        let (kind, target) = section.split_once('/').unwrap_or(("", section));
        let tracepoint = target.rsplit('/').next().unwrap_or(target).to_owned();
        let through_tracefs = matches!(kind, "tp" | "tracepoint");
        let iterates = kind == "iter";
        Self {
            completes: iterates || tracepoint.starts_with("sys_exit_"),
            iterates,
            tracefs_event: through_tracefs.then(|| target.to_owned()),
            uprobe: section.starts_with("uprobe"),
            tracepoint,
        }
    }

    /// The hook that a completing program belongs to. An object without it has one that serves all its
    /// hooks.
    fn completed_hook(&self) -> String {
        self.tracepoint.replace("sys_exit_", "sys_enter_")
    }

    /// What its hooks say when they must do without it.
    fn missing(&self) -> String {
        if self.iterates {
            return format!(
                "sockets older than the capture are unattributed until a process acts on them, \
                 because the iterator {} did not run",
                self.tracepoint
            );
        }
        format!("{} is off", self.tracepoint)
    }
}

/// Writes what happened to one program onto the hooks of its object.
pub fn refuse(hooks: &mut [Hook], role: &Role, refusal: &Refusal) {
    if role.uprobe {
        // All functions of an object share its programs.
        hooks.iter_mut().for_each(|hook| hook.refuse(refusal));
        return;
    }
    let mut own = hooks.iter_mut().filter(|hook| hook.hook == role.tracepoint).peekable();
    if own.peek().is_some() {
        own.for_each(|hook| hook.refuse(refusal));
        return;
    }
    let completed = role.completed_hook();
    let serves_all = hooks.iter().all(|hook| hook.hook != completed);
    hooks
        .iter_mut()
        .filter(|hook| serves_all || hook.hook == completed)
        .for_each(|hook| hook.degrade(&role.missing(), refusal));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_tells_the_role() {
        let enter = Role::of_section("tracepoint/syscalls/sys_enter_openat");
        assert_eq!(enter.tracepoint, "sys_enter_openat");
        assert_eq!(enter.tracefs_event.as_deref(), Some("syscalls/sys_enter_openat"));
        assert!(!enter.completes);
        let exit = Role::of_section("tp/syscalls/sys_exit_openat");
        assert!(exit.completes);
        assert_eq!(exit.completed_hook(), "sys_enter_openat");
        let exec = Role::of_section("tp_btf/sched_process_exec");
        assert_eq!((exec.tracepoint.as_str(), exec.tracefs_event), ("sched_process_exec", None));
        let iterator = Role::of_section("iter/task_file");
        assert!(iterator.iterates && iterator.completes && !exit.iterates);
    }

    #[test]
    fn a_refused_completion_leaves_its_hook_on() {
        let mut hooks = [Hook::on("p", "sys_enter_open"), Hook::on("p", "sys_enter_creat")];
        let no = Refusal::new("no", "");
        refuse(&mut hooks, &Role::of_section("tp/syscalls/sys_exit_open"), &no);
        assert_eq!(hooks[0].state, State::On);
        assert_eq!(hooks[0].reason.as_deref(), Some("sys_exit_open is off: no"));
        assert_eq!(hooks[1].reason, None);
        refuse(&mut hooks[1..], &Role::of_section("tp/syscalls/sys_exit_accept"), &no);
        assert_eq!(hooks[1].reason.as_deref(), Some("sys_exit_accept is off: no"));
        refuse(&mut hooks[1..], &Role::of_section("iter/task_file"), &no);
        assert_eq!(hooks[1].state, State::On);
        let reason = hooks[1].reason.as_deref().unwrap();
        assert!(reason.starts_with("sockets older than the capture are unattributed"), "{reason}");
        assert!(reason.ends_with("because the iterator task_file did not run: no"), "{reason}");
        refuse(&mut hooks, &Role::of_section("tp/syscalls/sys_enter_open"), &no);
        assert_eq!(hooks[0].state, State::Off);
    }

    #[test]
    fn the_first_refusal_is_the_one_that_is_told() {
        let mut hook = Hook::on("file_open", "sys_enter_open");
        hook.refuse(&Refusal::new("no such tracepoint", ""));
        hook.refuse(&Refusal::new("something else", "try it"));
        hook.degrade("sys_exit_open is off", &Refusal::new("neither", ""));
        assert_eq!((hook.reason.as_deref(), hook.hint), (Some("no such tracepoint"), None));
    }
}
