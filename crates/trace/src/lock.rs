//! Locks on files, which the system takes away when their process dies, however it dies.
//!
//! A disk of another machine (NFS, FUSE, the home of a cluster) may have none, keep them to each machine, or never
//! answer. So each is asked for on a thread that can be abandoned, and a disk that does not answer is not asked twice.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a disk may take to answer: a server at the other end of the network needs some milliseconds, and a signal
/// may have to wait as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a thread may take that is ready to run and has no processor: on a machine with far too much to do a second
/// says nothing of the disk.
const STARVED_MAX: Duration = Duration::from_secs(30);

/// What such a thread needs: one call of the system.
const STACK_BYTES: usize = 64 << 10;

/// How many threads that have nothing to do are kept.
const IDLE_MAX: usize = 4;

/// How many disks that do not answer are remembered.
const SILENT_MAX: usize = 64;

/// Takes the lock of a file that no one else may have, and keeps it until the last handle of the file is closed.
/// Returns false if another has it.
///
/// # Errors
/// When the disk has no locks, or does not answer: whether another has it is not known then.
pub fn try_exclusive(file: &File) -> io::Result<bool> {
    ask(file, File::try_lock)
}

/// Returns whether another process holds the lock of a file, if that can be found out. The lock is this handle's
/// afterwards, if no one has it.
pub fn is_held(file: &File) -> Option<bool> {
    ask(file, File::try_lock_shared).ok().map(|is_free| !is_free)
}

type Try = fn(&File) -> Result<(), TryLockError>;

/// A file that is to be locked, and whoever waits for the answer.
struct Job {
    file: File,
    act: Try,
    done: mpsc::Sender<Result<(), TryLockError>>,
}

/// The threads that wait for a job, and the disks that have not answered one.
struct Threads {
    idle: Vec<Worker>,
    silent: Vec<u64>,
}

/// A thread that takes one job after the other.
struct Worker {
    jobs: mpsc::Sender<Job>,
    /// Where the system says what it does, once it runs.
    stat: Arc<OnceLock<PathBuf>>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads { idle: Vec::new(), silent: Vec::new() });

fn threads() -> MutexGuard<'static, Threads> {
    // Nothing that holds it can panic half-way.
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask(file: &File, act: Try) -> io::Result<bool> {
    let disk = file.metadata()?.dev();
    let idle = {
        let mut threads = threads();
        if threads.silent.contains(&disk) {
            return Err(silent());
        }
        threads.idle.pop()
    };
    let thread = idle.map_or_else(start, Ok)?;
    // Of one open file: the lock is that of both handles.
    let (done, answer) = mpsc::channel();
    let job = Job { file: file.try_clone()?, act, done };
    thread.jobs.send(job).map_err(io::Error::other)?;
    let Some(answer) = thread.wait(&answer) else {
        let mut threads = threads();
        if threads.silent.len() < SILENT_MAX {
            threads.silent.push(disk);
        }
        return Err(silent());
    };
    let mut threads = threads();
    if threads.idle.len() < IDLE_MAX {
        threads.idle.push(thread);
    }
    match answer {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")
}

impl Worker {
    /// The answer, unless the disk does not give it.
    fn wait<T>(&self, answer: &mpsc::Receiver<T>) -> Option<T> {
        let began = Instant::now();
        loop {
            match answer.recv_timeout(PATIENCE) {
                Ok(answer) => return Some(answer),
                Err(_) if self.is_starving() && began.elapsed() < STARVED_MAX => {}
                Err(_) => return None,
            }
        }
    }

    /// True for a thread that waits for a processor, and not for the disk.
    fn is_starving(&self) -> bool {
        let Some(stat) = self.stat.get() else { return true };
        let stat = fs::read_to_string(stat).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R'))
    }
}

/// Starts a thread that works until no one has any job for it.
fn start() -> io::Result<Worker> {
    let (jobs, queue) = mpsc::channel::<Job>();
    let stat = Arc::new(OnceLock::new());
    let told = Arc::clone(&stat);
    let work = move || {
        // Where there is no `/proc`, nothing is known of it.
        let thread = fs::read_link("/proc/thread-self").unwrap_or_default();
        let _ = told.set(Path::new("/proc").join(thread).join("stat"));
        for Job { file, act, done } in queue {
            let answer = act(&file);
            // The handle first: whoever waits may close the last other one, and count on the lock to be free.
            drop(file);
            // Whoever has waited may be gone.
            let _ = done.send(answer);
        }
    };
    thread::Builder::new().name("belay-lock".to_owned()).stack_size(STACK_BYTES).spawn(work)?;
    Ok(Worker { jobs, stat })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> (PathBuf, File) {
        let path = std::env::temp_dir().join(format!("belay-lock-{}-{name}", std::process::id()));
        let file = File::create(&path).unwrap();
        (path, file)
    }

    #[test]
    fn a_lock_has_one_holder_and_is_free_when_its_file_is_closed() {
        let (path, first) = file("one");
        let second = File::open(&path).unwrap();
        assert_eq!(is_held(&second), Some(false));
        drop(second);
        assert!(try_exclusive(&first).unwrap());
        let second = File::open(&path).unwrap();
        assert_eq!((is_held(&second), try_exclusive(&second).unwrap()), (Some(true), false));
        drop(first);
        assert!(try_exclusive(&second).unwrap());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_disk_that_never_answers_is_waited_for_once_and_others_are_asked() {
        let never: Try = |_| loop {
            thread::park();
        };
        let device = File::open("/dev/null").unwrap();
        let began = Instant::now();
        assert_eq!(ask(&device, never).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= PATIENCE);
        let began = Instant::now();
        assert_eq!(is_held(&device), None);
        assert!(began.elapsed() < PATIENCE);
        let (path, other) = file("two");
        assert!(try_exclusive(&other).unwrap());
        fs::remove_file(path).unwrap();
    }
}
