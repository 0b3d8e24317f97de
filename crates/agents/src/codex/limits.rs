//! The state of the account's limits, as Codex reports it.

use super::rpc::{Limits, Window};
use belay_trace::{RateLimit, RateLimitWindow};
use jiff::Timestamp;

impl Limits {
    /// The windows that are reported, if any is.
    pub(super) fn to_event(&self) -> Option<RateLimit> {
        let named = [("primary", &self.primary), ("secondary", &self.secondary)];
        let windows: Vec<_> = named
            .into_iter()
            .filter_map(|(name, window)| {
                let window = window.as_ref()?;
                Some(RateLimitWindow {
                    name: name.to_owned(),
                    used_percent: window.used_percent,
                    resets_at: window.resets_at(),
                    status: None,
                })
            })
            .collect();
        let rejected = self.used_up().next().is_some();
        (!windows.is_empty()).then_some(RateLimit { rejected, windows })
    }

    /// When work is possible again: when the last of the used-up windows starts anew.
    pub(super) fn reset(&self) -> Option<Timestamp> {
        self.used_up().filter_map(Window::resets_at).max()
    }

    fn used_up(&self) -> impl Iterator<Item = &Window> {
        let windows = [&self.primary, &self.secondary].into_iter().flatten();
        windows.filter(|window| window.used_percent.is_some_and(|percent| percent >= 100.0))
    }
}

impl Window {
    fn resets_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.resets_at?).ok()
    }
}
