//! What a command prints on standard output: buffered, and sure to say once when it cannot be written.

use crate::fail::{Fail, closed_pipe_is_fine};
use crate::terminal::{self, Shown};
use std::cell::RefCell;
use std::io::{self, BufWriter, Stdout, Write};
use std::rc::Rc;

/// Standard output; clones write to the same place. Once it cannot be written, what follows goes nowhere:
/// ask [`is_read`](Self::is_read) before going to much trouble.
#[derive(Clone, Debug)]
pub(crate) struct Page(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    out: Option<BufWriter<Shown<Stdout>>>,
    failed: Option<io::Error>,
}

impl Page {
    pub(crate) fn new() -> Self {
        let out = Some(BufWriter::with_capacity(64 << 10, terminal::stdout()));
        Self(Rc::new(RefCell::new(Inner { out, failed: None })))
    }

    /// Hands on what was written so far.
    pub(crate) fn show(&self) {
        self.with(Write::flush);
    }

    /// False when nobody takes what is written.
    pub(crate) fn is_read(&self) -> bool {
        self.0.borrow().out.is_some()
    }

    /// Hands on all that was written. A reader who is gone has seen enough; a full disk is an error.
    pub(crate) fn end(self) -> Result<(), Fail> {
        self.show();
        closed_pipe_is_fine(self.0.borrow_mut().failed.take().map_or(Ok(()), Err))
    }

    fn with(&self, write: impl FnOnce(&mut BufWriter<Shown<Stdout>>) -> io::Result<()>) {
        let inner = &mut *self.0.borrow_mut();
        if let Some(Err(error)) = inner.out.as_mut().map(write) {
            inner.failed = Some(error);
            if let Some(out) = inner.out.take() {
                // What it still holds would be tried again.
                let _ = out.into_parts();
            }
        }
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|out| out.write_all(bytes));
        Ok(bytes.len())
    }

    /// Does nothing: whoever writes does not know when there is enough to show.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
