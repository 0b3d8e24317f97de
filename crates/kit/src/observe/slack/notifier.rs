//! Messages of the caller's own.

use super::api::{Api, Message};
use super::{Config, Place, blocks};
use crate::Environment;
use crate::limits::NOTIFY_REQUEST;
use crate::observe::http::Network;
use crate::observe::notify::NotifyError;
use crate::observe::notify::channel::Failed;
use std::fmt;
use std::thread;
use std::time::Duration;

/// How long is waited before each of the next tries, as in the seed.
const RETRIES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// No longer than this is waited because Slack asks for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Posts the caller's own messages: from the start of a session to its end in one thread.
///
/// Every call waits for Slack, and tries again for some seconds when it has to. Without a configuration that is
/// enabled and complete each call does nothing. What runs do is told by [`Notify::slack`](crate::notify::Notify::slack).
///
/// ```
/// use belaykit::slack::{Config, Notifier};
///
/// let mut notifier = Notifier::new(&Config::default());
/// notifier.start_session("nightly run")?; // Nothing is configured, so nothing happens.
/// notifier.send("halfway")?;
/// notifier.end_session("done")?;
/// # Ok::<(), belaykit::notify::NotifyError>(())
/// ```
pub struct Notifier {
    api: Option<Api>,
    mentions: String,
    thread: Option<Place>,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl Notifier {
    /// A notifier with no session yet.
    pub fn new(config: &Config) -> Self {
        let mentions = blocks::mentions(&config.notify_users);
        Self { api: Api::of(config), mentions, thread: None }
    }

    /// Goes through the proxies of an environment (`HTTPS_PROXY`, `ALL_PROXY`, but for what `NO_PROXY` names) and trusts
    /// the roots that it and the system name (`SSL_CERT_FILE`, `SSL_CERT_DIR`), instead of those built in. Without
    /// it there are none.
    #[must_use]
    pub fn network_of(mut self, environment: &Environment) -> Self {
        if let Some(api) = &mut self.api {
            api.network(Network::of(environment));
        }
        self
    }

    /// True if messages go anywhere.
    pub fn is_enabled(&self) -> bool {
        self.api.is_some()
    }

    /// The message that the session's others stand below; `None` outside of sessions and over webhooks.
    pub fn thread_ts(&self) -> Option<&str> {
        self.thread.as_ref().map(|place| place.ts.as_str())
    }

    /// Begins a session with this message; one that was begun is left as it is.
    ///
    /// # Errors
    /// [`NotifyError`] if Slack did not take it.
    pub fn start_session(&mut self, text: &str) -> Result<(), NotifyError> {
        self.thread = None;
        self.thread = self.post(text, "", false)?;
        Ok(())
    }

    /// Posts a message, in the session's thread if there is one.
    ///
    /// # Errors
    /// [`NotifyError`] if Slack did not take it.
    pub fn send(&self, text: &str) -> Result<(), NotifyError> {
        self.post(text, "", false).map(drop)
    }

    /// Posts a message that mentions all `notify_users`.
    ///
    /// # Errors
    /// [`NotifyError`] if Slack did not take it.
    pub fn send_with_mentions(&self, text: &str) -> Result<(), NotifyError> {
        self.post(text, &self.mentions, false).map(drop)
    }

    /// Ends the session with a message that mentions all `notify_users` and is shown in the channel too.
    ///
    /// # Errors
    /// [`NotifyError`] if Slack did not take it; the session is over all the same.
    pub fn end_session(&mut self, text: &str) -> Result<(), NotifyError> {
        let posted = self.post(text, &self.mentions, true).map(drop);
        self.thread = None;
        posted
    }

    fn post(
        &self,
        text: &str,
        mentions: &str,
        broadcast: bool,
    ) -> Result<Option<Place>, NotifyError> {
        let Some(api) = &self.api else { return Ok(None) };
        let (text, blocks) = blocks::of_caller(text, mentions);
        let message = Message { text, blocks, thread: self.thread.clone(), broadcast };
        let mut retries = RETRIES.into_iter();
        loop {
            match api.post(&message, NOTIFY_REQUEST).map_err(Failed::from) {
                Ok(place) => return Ok(place),
                Err(Failed::Later(after, words)) => {
                    let wait = retries.next().map(|wait| after.unwrap_or(wait));
                    let Some(wait) = wait.filter(|wait| *wait <= PATIENCE) else {
                        return Err(NotifyError(words));
                    };
                    thread::sleep(wait);
                }
                Err(Failed::Never(words) | Failed::Off(words)) => return Err(NotifyError(words)),
            }
        }
    }
}
