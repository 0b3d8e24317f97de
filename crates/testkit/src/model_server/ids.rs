//! Ids for messages and calls, unique in this process.

use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A new id such as `msg_00000000000000000000002a`, as long as the vendors' own.
pub(crate) fn fresh(prefix: &str) -> String {
    format!("{prefix}_{:024x}", NEXT.fetch_add(1, Ordering::Relaxed))
}
