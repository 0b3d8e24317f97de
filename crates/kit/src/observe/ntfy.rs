//! ntfy: pushes to phones (<https://ntfy.sh>, or a server of one's own).

use super::http::{Http, Network};
use super::notify::channel::{Channel, Failed, by_status};
use super::notify::{Events, Kind, Notice, Notify, text};
use belay_trace::Level;
use serde_json::json;
use std::time::Duration;

impl Notify {
    /// Publishes each notice to a topic: `https://ntfy.sh/TOPIC`. Whoever knows the name of a topic can read it,
    /// unless the server wants a token.
    pub fn ntfy(url: impl Into<String>, token: Option<String>) -> Self {
        let url = url.into();
        let (server, topic) = url.trim_end_matches('/').rsplit_once('/').unwrap_or((&url, ""));
        let authorization = token.map(|token| format!("Bearer {token}"));
        let (server, topic) = (server.to_owned(), topic.to_owned());
        let channel = Ntfy { http: Http::new(), server, topic, authorization };
        Self::over("ntfy", Some(channel), Events::default())
    }
}

struct Ntfy {
    http: Http,
    server: String,
    topic: String,
    authorization: Option<String>,
}

/// ntfy makes an attachment of a message that is longer than 4096 bytes; a unit of UTF-16 is three at most.
const MESSAGE_MAX: usize = 1300;

impl Channel for Ntfy {
    fn pace(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn network(&mut self, network: Network) {
        self.http = self.http.clone().network(network);
    }

    fn send(&mut self, notices: &[Notice], timeout: Duration) -> Result<(), Failed> {
        let Some(notice) = notices.first() else { return Ok(()) };
        let message = Notice { title: String::new(), ..notice.clone() }.plain();
        let (priority, tag) = match (notice.level, notice.event) {
            (Level::Error, _) => (4, "x"),
            (Level::Warn, _) => (3, "warning"),
            (_, Kind::Result) => (3, "white_check_mark"),
            (Level::Info | Level::Debug, _) => (2, "robot"),
        };
        // As JSON and not in headers, which hold no more than ASCII.
        let mut body = json!({
            "topic": self.topic,
            "title": notice.title,
            "priority": priority,
            "tags": [tag],
        });
        if !message.is_empty() {
            body["message"] = json!(text::cut(&message, MESSAGE_MAX));
        }
        let headers = self.authorization.as_ref().map(|it| ("authorization", it.as_str()));
        let headers: Vec<_> = headers.into_iter().collect();
        let sent = self.http.post(&self.server, &headers, body.to_string().as_bytes(), timeout);
        by_status(&sent.map_err(|error| Failed::of_http(&error))?)
    }
}
