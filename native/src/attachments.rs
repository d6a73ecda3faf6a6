//! What is attached: one attachment per file, for as long as a process uses the file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::executable::{self, Content, Executable, FileKey, Stamp};
use crate::layout::FUNCTION_COOKIE_INSIDE_BIT;
use crate::plan::{Plan, Program};
use crate::process_maps;
use crate::uprobe_link::{self, Attaching, Outcome, Point, UprobeLink};

/// Files with uprobes at one time. Each holds a few descriptors.
pub const TARGETS_MAX: usize = 1024;
/// How long a file without users stays attached: commands that are started again and again are then
/// seen from their beginning.
const LINGER: Duration = Duration::from_secs(1);

/// The programs that can be attached.
pub struct Programs {
    /// How this kernel does it.
    pub attaching: Attaching,
    /// Those that the kernel took.
    pub descriptors: HashMap<Program, OwnedFd>,
}

/// A plan with the ids of its attach points: they are the same each time a file is attached.
pub struct Numbered {
    /// Where to attach.
    pub plan: Plan,
    /// Of the first of its calls; the others follow.
    pub first_id: u32,
}

/// The files that are attached, and who uses them.
pub struct Attachments {
    programs: Programs,
    calls_max: usize,
    calls: usize,
    attached: HashMap<FileKey, Attachment>,
    /// The same file seen through an overlay and without it.
    same: HashMap<Content, FileKey>,
    users: BTreeMap<u32, BTreeSet<FileKey>>,
}

struct Attachment {
    links: Vec<(Program, Vec<UprobeLink>)>,
    /// Kept open so that the inode can't become another file, and to see it change.
    file: File,
    stamp: Stamp,
    content: Option<Content>,
    calls: usize,
    users: usize,
    idle_since: Option<Instant>,
    path: String,
}

/// What an attempt led to.
#[derive(Debug, Default)]
pub struct Attempt {
    /// Points that are attached.
    pub points: usize,
    /// Points that the kernel refused, and why.
    pub refused: usize,
    /// One sentence.
    pub reason: Option<String>,
    /// Points that the limit left out.
    pub over_limit: usize,
}

impl Attachments {
    /// Nothing is attached yet. At most `calls_max` points of function_call will be.
    pub fn new(programs: Programs, calls_max: usize) -> Self {
        Self {
            programs,
            calls_max,
            calls: 0,
            attached: HashMap::new(),
            same: HashMap::new(),
            users: BTreeMap::new(),
        }
    }

    /// The key under which the file is attached, or would be.
    pub fn key_of(&self, executable: &Executable) -> FileKey {
        let known = executable.content.as_ref().and_then(|content| self.same.get(content));
        match (known, &executable.key) {
            // Two ordinary files with equal handles are on different filesystems.
            (Some(FileKey::Inode { .. }), FileKey::Inode { .. }) | (None, _) => {
                executable.key.clone()
            }
            (Some(known), _) => known.clone(),
        }
    }

    /// Whether the file is attached as it is now. One that was changed in place is detached: the old
    /// places are in the middle of other instructions.
    pub fn is_current(&mut self, key: &FileKey) -> bool {
        let Some(attachment) = self.attached.get(key) else { return false };
        let current = executable::current(&attachment.file);
        if current.is_ok_and(|(stamp, _)| stamp == attachment.stamp) {
            return true;
        }
        self.detach(key);
        false
    }

    /// Attaches everything of the plan.
    pub fn attach(
        &mut self,
        key: &FileKey,
        executable: Executable,
        numbered: &Rc<Numbered>,
        path: &str,
    ) -> Attempt {
        if self.attached.len() >= TARGETS_MAX {
            let reason = format!("{TARGETS_MAX} files are attached already");
            return Attempt { reason: Some(reason), ..Attempt::default() };
        }
        let plan = &numbered.plan;
        let room = (self.calls_max - self.calls).min(plan.calls.len());
        let groups = groups(numbered, room);
        let descriptor = executable::descriptor_path(executable.file.as_raw_fd());
        let mut attempt = Attempt { over_limit: plan.calls.len() - room, ..Attempt::default() };
        let mut links = Vec::new();
        for ((program, returns), points) in groups {
            let Some(fd) = self.programs.descriptors.get(&program) else { continue };
            let Outcome { links: new, refused, error } = uprobe_link::attach(
                self.programs.attaching,
                fd.as_fd(),
                &descriptor,
                &points,
                returns,
            );
            attempt.points += points.len() - refused;
            attempt.refused += refused;
            attempt.reason = attempt.reason.or(error.map(|error| error.to_string()));
            links.push((program, new));
        }
        if attempt.points == 0 {
            return attempt;
        }
        self.calls += room;
        if let Some(content) = &executable.content {
            self.same.insert(content.clone(), key.clone());
        }
        let users = self.users.values().filter(|keys| keys.contains(key)).count();
        let attachment = Attachment {
            links,
            file: executable.file,
            stamp: executable.stamp,
            content: executable.content,
            calls: room,
            users,
            idle_since: (users == 0).then(Instant::now),
            path: path.to_owned(),
        };
        self.attached.insert(key.clone(), attachment);
        attempt
    }

    /// A process has mapped the file.
    pub fn add_user(&mut self, pid: u32, key: &FileKey) {
        let Some(attachment) = self.attached.get_mut(key) else { return };
        if self.users.entry(pid).or_default().insert(key.clone()) {
            attachment.users += 1;
            attachment.idle_since = None;
        }
    }

    /// A new process has what its parent has.
    pub fn forked(&mut self, pid: u32, parent: u32) {
        // The number may have belonged to another process before.
        self.gone(pid);
        let Some(keys) = self.users.get(&parent).cloned() else { return };
        keys.iter().for_each(|key| self.add_user(pid, key));
    }

    /// The process ended, or has replaced all it had mapped.
    pub fn gone(&mut self, pid: u32) {
        for key in self.users.remove(&pid).unwrap_or_default() {
            let Some(attachment) = self.attached.get_mut(&key) else { continue };
            attachment.users = attachment.users.saturating_sub(1);
            if attachment.users == 0 {
                attachment.idle_since = Some(Instant::now());
            }
        }
    }

    /// Forgets users whose end was missed.
    pub fn sweep(&mut self) {
        let ended: Vec<_> =
            self.users.keys().copied().filter(|pid| process_maps::ended(*pid)).collect();
        ended.into_iter().for_each(|pid| self.gone(pid));
    }

    /// Detaches what nobody uses any more. Returns the paths.
    pub fn detach_idle(&mut self, now: Instant) -> Vec<String> {
        let idle: Vec<_> = self
            .attached
            .iter()
            .filter(|(_, attachment)| attachment.is_idle(now))
            .map(|(key, _)| key.clone())
            .collect();
        idle.iter().filter_map(|key| self.detach(key)).collect()
    }

    /// Detaches everything.
    pub fn detach_all(&mut self) {
        let keys: Vec<_> = self.attached.keys().cloned().collect();
        keys.iter().for_each(|key| drop(self.detach(key)));
        self.users.clear();
    }

    /// Whether anything waits for its time to be detached.
    pub fn has_idle(&self) -> bool {
        self.attached.values().any(|attachment| attachment.idle_since.is_some())
    }

    fn detach(&mut self, key: &FileKey) -> Option<String> {
        let mut attachment = self.attached.remove(key)?;
        self.calls -= attachment.calls;
        // Exits before entries: a call that is under way is then nobody's return.
        attachment.links.sort_by_key(|(program, _)| std::cmp::Reverse(*program));
        attachment.links.clear();
        if let Some(content) = &attachment.content {
            self.same.remove(content);
        }
        // Who uses it stays known: a file that was changed in place is attached again.
        Some(attachment.path)
    }
}

impl Attachment {
    fn is_idle(&self, now: Instant) -> bool {
        self.idle_since.is_some_and(|since| {
            let replaced = executable::current(&self.file).is_ok_and(|(_, named)| !named);
            replaced || now.duration_since(since) >= LINGER
        })
    }
}

/// The points of each program, entries first.
fn groups(numbered: &Numbered, room: usize) -> BTreeMap<(Program, bool), Vec<Point>> {
    let mut groups: BTreeMap<_, Vec<Point>> = BTreeMap::new();
    for probe in &numbered.plan.probes {
        groups.entry((probe.program, probe.returns)).or_default().push(probe.point);
    }
    for (index, call) in numbered.plan.calls.iter().take(room).enumerate() {
        let id = u64::from(numbered.first_id) + index as u64;
        let cookie = id | u64::from(call.inside) << FUNCTION_COOKIE_INSIDE_BIT;
        let point = Point { offset: call.offset, cookie };
        groups.entry((Program::FunctionEntry, false)).or_default().push(point);
    }
    groups
}
