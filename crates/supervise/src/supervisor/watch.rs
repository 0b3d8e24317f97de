//! What a supervisor waits for: its sockets, its children, a signal, a moment.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use signal_hook::low_level::pipe;
use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The signals of a supervisor, each as a byte in a pipe of its own.
pub(super) struct Watch {
    children: UnixStream,
    told_to_end: UnixStream,
    /// What means the agent comes by way of its user.
    _deaf: UnixStream,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// SIGTERM came.
    pub(super) told_to_end: bool,
    /// The first socket has something to say, or is closed.
    pub(super) first: bool,
    /// The second socket is closed.
    pub(super) second: bool,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let (children, theirs) = UnixStream::pair()?;
        pipe::register(Signal::CHILD.as_raw(), theirs)?;
        let (told_to_end, theirs) = UnixStream::pair()?;
        pipe::register(Signal::TERM.as_raw(), theirs)?;
        let (deaf, theirs) = UnixStream::pair()?;
        pipe::register(Signal::HUP.as_raw(), theirs.try_clone()?)?;
        pipe::register(Signal::INT.as_raw(), theirs)?;
        for end in [&children, &told_to_end] {
            end.set_nonblocking(true)?;
        }
        Ok(Self { children, told_to_end, _deaf: deaf })
    }

    /// Waits until something happens, a child among it, or the moment comes. `first` is heard if `listens` says so,
    /// and else only whether it is closed.
    pub(super) fn next(
        &mut self,
        first: Option<BorrowedFd<'_>>,
        listens: bool,
        second: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> Seen {
        // A socket whose other end is closed says so (HUP) also to who does not ask.
        let closed = PollFlags::RDHUP;
        let heard = if listens { closed | PollFlags::IN } else { closed };
        let mut fds = vec![
            PollFd::new(&self.children, PollFlags::IN),
            PollFd::new(&self.told_to_end, PollFlags::IN),
        ];
        fds.extend(first.map(|fd| PollFd::from_borrowed_fd(fd, heard)));
        fds.extend(second.map(|fd| PollFd::from_borrowed_fd(fd, closed)));
        let patience = until.map(|until| until.saturating_duration_since(Instant::now()));
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        // Interrupted by a signal, which is in its pipe.
        let _ = poll(&mut fds, patience.as_ref());
        let mut happened = fds.iter().skip(2).map(|fd| !fd.revents().is_empty());
        let first = first.is_some() && happened.next().unwrap_or(false);
        let second = second.is_some() && happened.next().unwrap_or(false);
        drop(happened);
        drop(fds);
        drain(&mut self.children);
        Seen { told_to_end: drain(&mut self.told_to_end), first, second }
    }

    /// Waits until a child has died or was stopped, but not long.
    pub(super) fn some_child(&mut self, patience: Duration) {
        let timeout = Timespec::try_from(patience).ok();
        let _ = poll(&mut [PollFd::new(&self.children, PollFlags::IN)], timeout.as_ref());
        drain(&mut self.children);
    }
}

/// Takes out what has gathered; false if there was nothing.
fn drain(pipe: &mut UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut any = false;
    while let Ok(1..) = pipe.read(&mut bytes) {
        any = true;
    }
    any
}
