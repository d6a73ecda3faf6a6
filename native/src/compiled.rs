//! For tests: executables made on the spot. What is missing here is a reason to skip, not to fail.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder that goes with its owner.
pub struct Folder(PathBuf);

impl Folder {
    /// Empty, and of this test alone.
    pub fn new() -> Folder {
        let mut template = std::env::temp_dir().join("runtime-evidence-XXXXXX").into_os_string();
        template.push("\0");
        let mut template = template.into_encoded_bytes();
        // SAFETY: the template is NUL-terminated and writable.
        let made = unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) };
        assert!(!made.is_null());
        template.pop();
        Folder(PathBuf::from(String::from_utf8(template).unwrap()))
    }

    /// Of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a compiler or another tool; none where it is not installed or the linker lacks a library.
pub fn run(program: &str, arguments: &[&str], stdin: &str) -> Option<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(stdin.as_bytes()).ok()?;
    child.wait().ok()?.success().then_some(())
}

/// Compiles C into a file of the folder.
pub fn compile(folder: &Folder, name: &str, options: &[&str], source: &str) -> Option<PathBuf> {
    let path = folder.path(name);
    let mut arguments = options.to_vec();
    arguments.extend(["-x", "c", "-", "-o", path.to_str()?]);
    run("cc", &arguments, source)?;
    Some(path)
}

/// The first of these files that is here.
pub fn open_first(paths: &[&str]) -> Option<(PathBuf, File)> {
    paths.iter().find_map(|path| Some((PathBuf::from(path), File::open(path).ok()?)))
}

/// Opens what was just compiled.
pub fn open(path: &Path) -> File {
    File::open(path).unwrap()
}

/// A line that the test runner counts. Not by a macro of print: what those write is shown of
/// failed tests only.
#[allow(clippy::explicit_write)]
pub fn skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or("").to_owned();
    writeln!(std::io::stderr(), "skipped {test}: {reason}").unwrap();
}
