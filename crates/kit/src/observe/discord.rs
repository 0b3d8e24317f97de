//! Discord, over a channel's webhook.

use super::http::{Http, Network, Response};
use super::notify::channel::{Channel, Failed, by_status};
use super::notify::{Events, Notice, Notify, text};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

impl Notify {
    /// Posts each notice to a Discord webhook, whose address is a secret.
    pub fn discord(webhook_url: impl Into<String>) -> Self {
        let channel = Discord { http: Http::new(), url: webhook_url.into() };
        Self::over("discord", Some(channel), Events::default())
    }
}

struct Discord {
    http: Http,
    url: String,
}

/// Discord takes 2000 characters; escaping may double those of the agent's words.
const CONTENT_MAX: usize = 2000;
/// Shows no preview of what is linked.
const SUPPRESS_EMBEDS: u32 = 1 << 2;

impl Channel for Discord {
    fn pace(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn network(&mut self, network: Network) {
        self.http = self.http.clone().network(network);
    }

    fn send(&mut self, notices: &[Notice], timeout: Duration) -> Result<(), Failed> {
        let Some(notice) = notices.first() else { return Ok(()) };
        let body = json!({
            "content": text::cut(&content(notice), CONTENT_MAX),
            // Whatever stands in the text.
            "allowed_mentions": { "parse": [] },
            "flags": SUPPRESS_EMBEDS,
        });
        let headers = [("content-type", "application/json")];
        let sent = self.http.post(&self.url, &headers, body.to_string().as_bytes(), timeout);
        let response = sent.map_err(|error| Failed::of_http(&error))?;
        by_status(&Response { retry_after: response.retry_after.or(asked(&response)), ..response })
    }
}

/// A 429 says in its body how long to wait, more exactly than in its header.
fn asked(response: &Response) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Limited {
        retry_after: f64,
    }
    let limited: Limited = serde_json::from_slice(&response.body).ok()?;
    Duration::try_from_secs_f64(limited.retry_after)
        .ok()
        .map(|it| it.min(crate::limits::RETRY_AFTER_MAX))
}

fn content(notice: &Notice) -> String {
    let body = text::cut(&notice.body, 1500);
    let body = Notice { title: String::new(), body, ..notice.clone() }.plain();
    format!("**{}**\n{}", escape(&notice.title), escape(&body)).trim().to_owned()
}

/// Takes the meaning out of what Discord's texts have one for.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\*_~`|<>[]()#@:-".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_agent_have_no_markup() {
        assert_eq!(escape("[x](https://e) <@1> **b**"), r"\[x\]\(https\://e\) \<\@1\> \*\*b\*\*");
    }

    #[test]
    fn a_limit_says_in_its_body_how_long_it_lasts() {
        let body =
            br#"{"message":"You are being rate limited.","retry_after":0.35,"global":false}"#;
        let response = Response { status: 429, retry_after: None, body: body.to_vec() };
        assert_eq!(asked(&response), Some(Duration::from_millis(350)));
    }
}
