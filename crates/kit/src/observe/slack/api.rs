//! Slack's three calls: an incoming webhook, `chat.postMessage` and `chat.update`.

use super::{Config, Place};
use crate::observe::http::{Http, Network, Response};
use crate::observe::notify::channel::Failed;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::time::Duration;

const BASE_URL: &str = "https://slack.com/api";

/// The way to Slack that is configured.
#[derive(Clone)]
pub(crate) struct Api {
    http: Http,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Webhook { url: String },
    Bot { base: String, authorization: String, channel: String },
}

/// What is said, and where.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// For notifications, and for whoever shows no blocks.
    pub(crate) text: String,
    pub(crate) blocks: Vec<Json>,
    pub(crate) thread: Option<Place>,
    /// Shown in the channel too, though it stands in a thread.
    pub(crate) broadcast: bool,
}

/// Why Slack did not take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The message that it is about is gone.
    Gone(String),
    /// The message itself.
    Message(String),
    Other(Failed),
}

impl From<Wrong> for Failed {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Gone(words) | Wrong::Message(words) => Self::Never(words),
            Wrong::Other(failed) => failed,
        }
    }
}

/// The answer of a call of the Web API. Its status is 200 when all went wrong, too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    ok: bool,
    error: String,
    channel: String,
    ts: String,
}

impl Api {
    /// `None` if nothing is configured.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        if !config.enabled {
            return None;
        }
        let way = if !config.bot_token.is_empty() && !config.channel.is_empty() {
            let base = if config.api_url.is_empty() { BASE_URL } else { config.api_url.as_str() };
            Way::Bot {
                base: base.trim_end_matches('/').to_owned(),
                authorization: format!("Bearer {}", config.bot_token),
                channel: config.channel.clone(),
            }
        } else if !config.webhook_url.is_empty() {
            Way::Webhook { url: config.webhook_url.clone() }
        } else {
            return None;
        };
        Some(Self { http: Http::new(), way })
    }

    pub(crate) fn network(&mut self, network: Network) {
        self.http = self.http.clone().network(network);
    }

    pub(crate) fn knows_threads(&self) -> bool {
        matches!(self.way, Way::Bot { .. })
    }

    /// Posts a message, and says where it is, if that can be known.
    pub(crate) fn post(
        &self,
        message: &Message,
        timeout: Duration,
    ) -> Result<Option<Place>, Wrong> {
        let mut body = body(message);
        match &self.way {
            Way::Webhook { url } => self.to_webhook(url, &body, timeout).map(|()| None),
            Way::Bot { channel, .. } => {
                body["channel"] = json!(channel);
                if let Some(thread) = &message.thread {
                    body["thread_ts"] = json!(thread.ts);
                    body["reply_broadcast"] = json!(message.broadcast);
                }
                let answer = self.call("chat.postMessage", &body, timeout)?;
                Ok(Some(Place { channel: answer.channel, ts: answer.ts }))
            }
        }
    }

    /// Writes a message anew.
    pub(crate) fn update(
        &self,
        place: &Place,
        message: &Message,
        timeout: Duration,
    ) -> Result<(), Wrong> {
        let mut body = body(message);
        body["channel"] = json!(place.channel);
        body["ts"] = json!(place.ts);
        self.call("chat.update", &body, timeout).map(drop)
    }

    fn to_webhook(&self, url: &str, body: &Json, timeout: Duration) -> Result<(), Wrong> {
        let response = self.send(url, &[], body, timeout)?;
        if response.is_ok() {
            return Ok(());
        }
        // In plain text.
        let words = String::from_utf8_lossy(&response.body);
        let words: String = words.trim().chars().take(100).collect();
        Err(match response.status {
            429 | 500.. => later(&response, format!("Slack: status {} {words}", response.status)),
            401 | 403 | 404 | 410 | 300..=399 => {
                Wrong::Other(Failed::Off(format!("Slack refuses the webhook: {words}")))
            }
            _ => Wrong::Message(format!("Slack refuses the message: {words}")),
        })
    }

    fn call(&self, method: &str, body: &Json, timeout: Duration) -> Result<Answer, Wrong> {
        let Way::Bot { base, authorization, .. } = &self.way else {
            return Err(Wrong::Gone("a webhook has no such call".to_owned()));
        };
        let headers = [("authorization", authorization.as_str())];
        let response = self.send(&format!("{base}/{method}"), &headers, body, timeout)?;
        if response.status == 429 || response.status >= 500 {
            return Err(later(&response, format!("Slack: status {}", response.status)));
        }
        let answer: Answer = serde_json::from_slice(&response.body).map_err(|_| {
            let words = format!("Slack: status {} and no JSON", response.status);
            Wrong::Other(Failed::Off(words))
        })?;
        if answer.ok { Ok(answer) } else { Err(refused(&answer.error, &response)) }
    }

    fn send(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &Json,
        timeout: Duration,
    ) -> Result<Response, Wrong> {
        let mut all = vec![("content-type", "application/json; charset=utf-8")];
        all.extend(headers);
        let sent = self.http.post(url, &all, body.to_string().as_bytes(), timeout);
        sent.map_err(|error| Wrong::Other(Failed::of_http(&error)))
    }
}

/// A message as Slack takes it. Nothing in it is looked through for names or links, and none is unfolded.
fn body(message: &Message) -> Json {
    let mut body = json!({
        "text": message.text,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if !message.blocks.is_empty() {
        body["blocks"] = json!(message.blocks);
    }
    body
}

fn later(response: &Response, words: String) -> Wrong {
    let asked = (response.status == 429).then_some(Duration::from_secs(1));
    Wrong::Other(Failed::Later(response.retry_after.or(asked), words))
}

/// What an `error` of the Web API means.
fn refused(error: &str, response: &Response) -> Wrong {
    let code: String = error.chars().filter(|c| c.is_ascii_graphic()).take(60).collect();
    let words = format!("Slack refuses it: {code}");
    match error {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            let after = response.retry_after.unwrap_or(Duration::from_secs(1));
            Wrong::Other(Failed::Later(Some(after), words))
        }
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
            Wrong::Other(Failed::Later(response.retry_after, words))
        }
        "message_not_found" | "thread_not_found" | "edit_window_closed" | "cant_update_message" => {
            Wrong::Gone(words)
        }
        "msg_too_long"
        | "msg_blocks_too_long"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "no_text"
        | "invalid_arguments"
        | "too_many_attachments" => Wrong::Message(words),
        // Tokens, scopes, channels: each next message would meet the same.
        _ => Wrong::Other(Failed::Off(words)),
    }
}
