//! The state of the account's limits, as Claude Code reports it.

use super::classify;
use super::wire::RateLimitInfo;
use belay_trace::{RateLimit, RateLimitWindow};

impl RateLimitInfo {
    /// Every window that is named, or else the one that the line is about.
    pub(super) fn to_event(&self) -> RateLimit {
        let percent = |utilization: Option<f64>| {
            utilization.map(|part| (part * 100.0).clamp(f64::MIN, f64::MAX))
        };
        let mut windows: Vec<_> = self
            .unified_windows
            .iter()
            .map(|(name, window)| RateLimitWindow {
                name: name.clone(),
                used_percent: percent(window.utilization),
                resets_at: classify::timestamp(window.resets_at),
                status: window.status.clone(),
            })
            .collect();
        if windows.is_empty() {
            windows.push(RateLimitWindow {
                name: self.rate_limit_type.clone().unwrap_or_default(),
                used_percent: percent(self.utilization),
                resets_at: classify::timestamp(self.resets_at),
                status: self.status.clone(),
            });
        }
        RateLimit { rejected: classify::is_rejected(self), windows }
    }
}
