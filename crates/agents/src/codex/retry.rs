//! Codex's words for its own inner retries.

use belay_trace::Retry;

/// What "Reconnecting... 1/5 (reason)" says; `None` if the message is something else. While there is no
/// network Codex does not count, it says "Reconnecting... waiting for network (reason)".
pub(super) fn of_message(message: &str) -> Option<Retry> {
    let rest = message.strip_prefix("Reconnecting... ")?;
    let (count, words) = rest.split_once(' ').unwrap_or((rest, ""));
    let counted =
        count.split_once('/').and_then(|(n, max)| Some((n.parse().ok()?, max.parse().ok()?)));
    let retry = match counted {
        Some((n, max)) => Retry {
            retry: Some(n),
            retries_max: Some(max),
            reason: words.trim_start_matches('(').trim_end_matches(')').to_owned(),
            ..Retry::default()
        },
        None => Retry { reason: rest.to_owned(), ..Retry::default() },
    };
    Some(retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, count: Option<(u64, u64)>, reason: &str) {
        let retry = of_message(message).unwrap();
        assert_eq!((retry.retry.zip(retry.retries_max), retry.reason.as_str()), (count, reason));
    }

    #[test]
    fn a_retry_has_its_count_and_its_reason() {
        check("Reconnecting... 1/5 (status: 429)", Some((1, 5)), "status: 429");
        check("Reconnecting... 2/5", Some((2, 5)), "");
        check(
            "Reconnecting... waiting for network (refused)",
            None,
            "waiting for network (refused)",
        );
        assert_eq!(of_message("exceeded retry limit"), None);
    }
}
