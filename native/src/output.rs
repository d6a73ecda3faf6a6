//! The stream of frames on stdout.

use std::io::{Error, ErrorKind};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use crate::diagnostics::Failure;
use crate::frame;
use crate::layout::PROBE_COUNT;
use crate::stop::Stop;

const STDOUT: RawFd = libc::STDOUT_FILENO;
/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// Why no more frames can be written.
#[derive(Debug)]
pub enum OutputError {
    /// Its end of the pipe is closed.
    ReaderGone,
    /// The run has to end and the reader did not take these bytes in time.
    ReaderStalled(usize),
    /// Anything else.
    Failed(Error),
}

/// Gathers frames and writes them. When the reader is slow, writing waits: the kernel's rings fill,
/// and what no longer fits is counted there as lost.
pub struct Output {
    buffer: Vec<u8>,
    stop: Rc<Stop>,
    /// Samples that were no frames, per probe they claim to come from.
    pub broken_samples: [u64; PROBE_COUNT],
    /// What ended the stream inside of a callback of libbpf, which can carry no error.
    pub error: Option<OutputError>,
}

impl Output {
    /// Nothing is gathered yet.
    pub fn new(stop: Rc<Stop>) -> Self {
        let buffer = Vec::with_capacity(2 * BUFFER_BYTES);
        Self { buffer, stop, broken_samples: [0; PROBE_COUNT], error: None }
    }

    /// Takes a sample of a ring: a complete frame. Returns 0, or -1 to end the consumption.
    pub fn take_sample(&mut self, sample: &[u8]) -> i32 {
        if frame::stated_length(sample) != Some(sample.len()) {
            let probe = sample.get(5).map_or(0, |probe| usize::from(*probe)).min(PROBE_COUNT - 1);
            self.broken_samples[probe] += 1;
            return 0;
        }
        match self.push(sample) {
            Ok(()) => 0,
            Err(error) => {
                self.error = Some(error);
                -1
            }
        }
    }

    /// Appends a frame; writes when enough is gathered.
    pub fn push(&mut self, frame: &[u8]) -> Result<(), OutputError> {
        self.buffer.extend_from_slice(frame);
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    /// Writes all that is gathered.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let mut written = 0;
        while written < self.buffer.len() {
            let rest = &self.buffer[written..];
            // SAFETY: `rest` is initialised memory of that length.
            let count = unsafe { libc::write(STDOUT, rest.as_ptr().cast(), rest.len()) };
            if let Ok(count) = usize::try_from(count) {
                written += count;
                continue;
            }
            let error = Error::last_os_error();
            match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => self.wait_for_reader(rest.len())?,
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                    return Err(OutputError::ReaderGone);
                }
                _ => return Err(OutputError::Failed(error)),
            }
        }
        self.buffer.clear();
        Ok(())
    }

    fn wait_for_reader(&self, unwritten: usize) -> Result<(), OutputError> {
        let time_left = self.stop.time_left();
        if time_left == Some(Duration::ZERO) {
            return Err(OutputError::ReaderStalled(unwritten));
        }
        // The run is already known to end: only the reader and the deadline matter.
        let [signals, stdin] = if time_left.is_some() { [-1; 2] } else { self.stop.descriptors() };
        let timeout_ms = time_left.map_or(-1, |left| left.as_millis().min(60_000) as i32 + 1);
        let watch = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let mut watched = [
            watch(STDOUT, libc::POLLOUT),
            watch(signals, libc::POLLIN),
            watch(stdin, libc::POLLIN),
        ];
        // SAFETY: the array has three entries.
        unsafe { libc::poll(watched.as_mut_ptr(), 3, timeout_ms) };
        if time_left.is_none() {
            self.stop.check();
        }
        Ok(())
    }
}

/// Writes to a pipe or socket do not wait from here on, so that the end of the run is noticed while the
/// reader is slow. A terminal or file shares its mode with others and keeps it.
pub fn refuse_to_wait() -> Result<(), Failure> {
    // SAFETY: all-zero bytes are a valid result, and it is written by the call only.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `status` is a valid place for the result.
    if unsafe { libc::fstat(STDOUT, &raw mut status) } != 0 {
        return Err(Failure::os("no_output", "use stdout"));
    }
    if matches!(status.st_mode & libc::S_IFMT, libc::S_IFIFO | libc::S_IFSOCK) {
        // SAFETY: no pointer is passed.
        unsafe {
            let flags = libc::fcntl(STDOUT, libc::F_GETFL);
            libc::fcntl(STDOUT, libc::F_SETFL, flags | libc::O_NONBLOCK);
        }
    }
    Ok(())
}
