//! A webhook of one's own: each notice as JSON, signed.

use super::http::{Http, Network};
use super::notify::channel::{Channel, Failed, by_status};
use super::notify::{Events, Notice, Notify};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::Serialize;
use sha2::Sha256;
use std::time::Duration;
use uuid::Uuid;

impl Notify {
    /// Posts each notice to `url` as JSON: `v`, `id`, `ts`, `event` (`start`, `phase`, `trouble`, `result`, `error`),
    /// `level`, `title`, `body`, `footer`, `agent`, `run`, `trace`.
    ///
    /// With a secret each request is signed: `x-belay-signature: sha256=HEX` is the HMAC-SHA256 of the time in
    /// `x-belay-timestamp`, a point, and the body. An `id` that comes twice is the same notice, sent again.
    pub fn webhook(url: impl Into<String>, secret: Option<String>) -> Self {
        let channel = Webhook { http: Http::new(), url: url.into(), secret, last: None };
        Self::over("webhook", Some(channel), Events::default())
    }
}

struct Webhook {
    http: Http,
    url: String,
    secret: Option<String>,
    /// What was sent last with its id and time, which stay the same when it is sent again.
    last: Option<(Notice, String, Timestamp)>,
}

#[derive(Serialize)]
struct Body<'a> {
    v: u32,
    id: &'a str,
    ts: Timestamp,
    #[serde(flatten)]
    notice: &'a Notice,
}

impl Channel for Webhook {
    fn pace(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn network(&mut self, network: Network) {
        self.http = self.http.clone().network(network);
    }

    fn send(&mut self, notices: &[Notice], timeout: Duration) -> Result<(), Failed> {
        let Some(notice) = notices.first() else { return Ok(()) };
        if self.last.as_ref().is_none_or(|(last, ..)| last != notice) {
            self.last = Some((notice.clone(), Uuid::now_v7().to_string(), Timestamp::now()));
        }
        let Some((notice, id, ts)) = &self.last else { return Ok(()) };
        let body = serde_json::to_string(&Body { v: 1, id, ts: *ts, notice })
            .map_err(|error| Failed::Never(error.to_string()))?;
        let time = Timestamp::now().as_second().to_string();
        let signature = self.secret.as_ref().map(|secret| signature(secret, &time, &body));
        let mut headers =
            vec![("content-type", "application/json"), ("x-belay-timestamp", time.as_str())];
        headers.extend(signature.as_deref().map(|it| ("x-belay-signature", it)));
        let sent = self.http.post(&self.url, &headers, body.as_bytes(), timeout);
        let answered = sent.map_err(|error| Failed::of_http(&error));
        by_status(&answered?)?;
        // The same words once more would be another notice.
        self.last = None;
        Ok(())
    }
}

/// What stands in the header.
fn signature(secret: &str, time: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .expect("an HMAC takes a key of any length");
    mac.update(format!("{time}.{body}").as_bytes());
    let hex = mac.finalize().into_bytes().into_iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", hex.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_anybody_else_computes() {
        // printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let want = "sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(signature("secret", "1700000000", "{\"a\":1}"), want);
    }
}
