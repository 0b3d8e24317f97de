//! Signals that whoever started the tests has switched off, such as `nohup` or a shell that puts them into the
//! background: a program that the tests start must hear them all the same.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};

/// Lets programs that are started from now on hear the signals that are switched off for this process.
pub fn hear_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        let ignored = |signal: &i32| mask & (1 << (signal - 1)) != 0;
        for signal in [SIGHUP, SIGINT, SIGTERM, SIGTSTP].into_iter().filter(ignored) {
            // What has a handler here has its default in a program that is started.
            drop(signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))));
        }
    });
}
