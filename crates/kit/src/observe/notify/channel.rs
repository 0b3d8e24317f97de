//! What a channel is to the queue before it.

use super::Notice;
#[cfg(feature = "webhook")]
use crate::observe::http::Response;
use crate::observe::http::{HttpError, Network};
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// When whoever waits for the end of a run goes away.
pub(crate) type Leaving = Arc<Mutex<Option<Instant>>>;

/// A way to tell somebody something. It lives on a thread of its own and may block there.
pub(crate) trait Channel: Send + 'static {
    /// How long there must be between two messages.
    fn pace(&self) -> Duration;

    /// True if one message may hold several notices.
    fn merges(&self) -> bool {
        false
    }

    /// True if the last message of a run's tools can be written anew.
    fn edits(&self) -> bool {
        false
    }

    /// Is told how to reach services, if it goes over the net by itself.
    fn network(&mut self, network: Network) {
        let _ = network;
    }

    /// Is told where to look for the end of all patience, if it leaves something behind that outlives this program.
    fn heed(&mut self, leaving: Leaving) {
        let _ = leaving;
    }

    /// Sends notices of one thread as one message, within `timeout`.
    fn send(&mut self, notices: &[Notice], timeout: Duration) -> Result<(), Failed>;
}

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It may work again; after this time, if the channel has said so.
    Later(Option<Duration>, String),
    /// This message will never go, and others may.
    Never(String),
    /// No message will go until somebody mends the configuration.
    Off(String),
}

impl Failed {
    /// There was no answer.
    pub(crate) fn of_http(error: &HttpError) -> Self {
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            words.push_str(&format!(": {error}"));
            cause = error.source();
        }
        match error {
            HttpError::Address(_) => Self::Off(words),
            _ => Self::Later(None, words),
        }
    }
}

/// What the status of an answer means, for services that say nothing finer.
#[cfg(feature = "webhook")]
pub(crate) fn by_status(response: &Response) -> Result<(), Failed> {
    let status = response.status;
    let words = String::from_utf8_lossy(&response.body);
    let words: String = words.trim().chars().take(200).collect();
    let words = match words.as_str() {
        "" => format!("status {status}"),
        words => format!("status {status}: {words}"),
    };
    match status {
        200..300 => Ok(()),
        429 => {
            Err(Failed::Later(Some(response.retry_after.unwrap_or(Duration::from_secs(1))), words))
        }
        408 | 425 | 500.. => Err(Failed::Later(response.retry_after, words)),
        // A redirect is not followed, and these do not heal.
        300..=399 | 401 | 403 | 404 | 405 | 410 => Err(Failed::Off(words)),
        _ => Err(Failed::Never(words)),
    }
}
