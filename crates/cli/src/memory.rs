//! An address space that is limited (`ulimit -v`, a batch system): used sparingly, and refused where it is too small.

use crate::fail::Fail;
use rustix::process::{Resource, getrlimit};
use std::{env, fs};

/// The address space that a short run needs besides the program itself: its threads' stacks and some 15 MiB of heap.
const FREE_MIN: u64 = 36 << 20;

/// A limit from which on nothing has to be saved: the heaps of ten threads.
const AMPLE: u64 = 2 << 30;

/// Lets all threads share one heap: glibc reserves 64 MiB for each, and then has none left for the first.
const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// Starts this program again with one heap for all threads, where that makes the difference. The C library reads how
/// many it may have before `main`.
///
/// # Errors
/// If there is too little for a run.
pub(crate) fn fit_into_limit() -> Result<(), Fail> {
    let Some(limit) = getrlimit(Resource::As).current.filter(|limit| *limit < AMPLE) else {
        return Ok(());
    };
    let (name, one) = ONE_HEAP;
    if env::var_os(name).is_none() {
        // Where it cannot be started again there may be enough all the same.
        let _ = belaykit_supervise::restart_with(name, one);
    }
    let free = limit.saturating_sub(used().unwrap_or_default());
    if free >= FREE_MIN {
        return Ok(());
    }
    let (free, needed, limit) = (free >> 20, FREE_MIN >> 20, limit >> 20);
    let words =
        format!("of {limit} MiB of address space {free} MiB are free, and belay needs {needed}");
    Err(Fail::local(words).hint("raise the limit: ulimit -v unlimited"))
}

/// The address space that is in use, in bytes.
fn used() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    size.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1 << 10)
}
