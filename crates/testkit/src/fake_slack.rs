//! A Slack on loopback that keeps to what Slack documents: time stamps, `ok:false` with its codes, 429 with
//! `Retry-After`, the limits of blocks and lengths, edits, and incoming webhooks with their answers in plain text.
//!
//! It can also fail in the ways in which any service fails; then it stands for any service, and whatever else is
//! posted to it is kept too ([`FakeSlack::requests`]).

mod rules;

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::model_server::Request;
use crate::model_server::http::{self, Raw};

/// The one token that it knows.
pub const TOKEN: &str = "xoxb-fake-token";
/// The one channel that it has, by its id and by its name.
pub const CHANNEL: &str = "C0FAKE";
/// The same.
pub const CHANNEL_NAME: &str = "#agents";

/// How many messages may come at once, at one a second on average.
const BURST: f64 = 4.0;
/// Edits a minute (tier 3).
const EDITS_A_MINUTE: usize = 50;

/// A fake Slack that lives until it is dropped.
#[derive(Debug)]
pub struct FakeSlack {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A message as it stands in the channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    /// Its time stamp, which is its id.
    pub ts: String,
    /// The message that it stands below.
    pub thread_ts: Option<String>,
    /// Shown in the channel too.
    pub broadcast: bool,
    /// What it said first.
    pub body: Value,
    /// When it came, counted from the start of the server.
    pub at: Duration,
    /// What it was made to say later, and when.
    pub edits: Vec<(Duration, Value)>,
}

impl Posted {
    /// The texts of its blocks as they are now, as a reader sees them.
    pub fn shown(&self) -> Vec<String> {
        let body = self.edits.last().map_or(&self.body, |(_, body)| body);
        let texts = rules::texts(body).into_iter();
        texts
            .map(|text| text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
            .collect()
    }
}

/// How it fails.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// 429, with so many seconds to wait.
    Limited(u64),
    /// This status.
    Status(u16),
    /// It takes connections and says nothing.
    Silent,
    /// It answers with a byte a second.
    Slow,
    /// `ok:false` with this code.
    Code(&'static str),
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    state: Mutex<State>,
    stopped: AtomicBool,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    messages: Vec<Posted>,
    /// What was answered with anything but ok.
    refused: Vec<String>,
    requests: Vec<Request>,
    tokens: f64,
    filled: Instant,
    edited: VecDeque<Instant>,
    edit_window: Duration,
}

impl FakeSlack {
    /// Begins to listen.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = State {
            fault: Fault::None,
            messages: Vec::new(),
            refused: Vec::new(),
            requests: Vec::new(),
            tokens: BURST,
            filled: Instant::now(),
            edited: VecDeque::new(),
            edit_window: Duration::MAX,
        };
        let (started, stopped) = (Instant::now(), AtomicBool::new(false));
        let shared = Arc::new(Shared { started, state: Mutex::new(state), stopped });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if theirs.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let theirs = Arc::clone(&theirs);
                // Whoever went away needs no answer.
                thread::spawn(move || theirs.serve(&stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where the Web API is.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// An incoming webhook of the channel.
    pub fn webhook_url(&self) -> String {
        format!("http://{}/services/T0/B0/secret", self.address)
    }

    /// Any other address, where everything is taken.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        self.shared.lock().fault = fault;
    }

    /// How old a message may be that is edited.
    pub fn edit_window(&self, window: Duration) {
        self.shared.lock().edit_window = window;
    }

    /// The messages, in order.
    pub fn messages(&self) -> Vec<Posted> {
        self.shared.lock().messages.clone()
    }

    /// What was refused, in order: codes, or statuses.
    pub fn refused(&self) -> Vec<String> {
        self.shared.lock().refused.clone()
    }

    /// Everything that was posted, here or to any other address of this server.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }
}

impl Drop for FakeSlack {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the one who listens.
        let _ = TcpStream::connect(self.address);
    }
}

/// What is answered.
enum Answer {
    Json(Value),
    Text(u16, &'static str),
    Limited(u64, &'static str),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let Some(raw) = http::read(stream)? else { return Ok(()) };
        let body = serde_json::from_slice(&raw.body).unwrap_or(Value::Null);
        let mut state = self.lock();
        state.requests.push(Request {
            method: raw.method.clone(),
            path: raw.path.clone(),
            headers: raw.headers.clone(),
            body: body.clone(),
            at: self.started.elapsed(),
        });
        let fault = state.fault.clone();
        let answer = match fault {
            Fault::None => state.answer(&raw, &body, self.started.elapsed()),
            Fault::Limited(seconds) => Answer::Limited(seconds, "rate_limited"),
            Fault::Status(status) => Answer::Text(status, "it went wrong"),
            Fault::Code(code) => Answer::Json(json!({ "ok": false, "error": code })),
            Fault::Silent | Fault::Slow => {
                drop(state);
                return self.hang(stream, fault == Fault::Slow);
            }
        };
        match &answer {
            Answer::Json(answer) if answer["ok"] == json!(true) => {}
            Answer::Json(answer) => {
                state.refused.push(answer["error"].as_str().unwrap_or_default().to_owned());
            }
            Answer::Text(200, _) => {}
            Answer::Text(status, words) => state.refused.push(format!("{status} {words}")),
            Answer::Limited(..) => state.refused.push("429".to_owned()),
        }
        drop(state);
        match answer {
            Answer::Json(answer) => http::write_whole(stream, 200, &[], &answer.to_string()),
            Answer::Text(status, words) => http::write_whole(stream, status, &[], words),
            Answer::Limited(seconds, words) => {
                let after = ("retry-after".to_owned(), seconds.to_string());
                http::write_whole(stream, 429, &[after], words)
            }
        }
    }

    /// Says nothing, or next to nothing, until the other side has had enough.
    fn hang(&self, mut stream: &TcpStream, is_slow: bool) -> io::Result<()> {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        for byte in answer.iter().chain(std::iter::repeat(&b' ')) {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            if is_slow {
                stream.write_all(&[*byte])?;
            }
            thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    }
}

impl State {
    fn answer(&mut self, raw: &Raw, body: &Value, at: Duration) -> Answer {
        let path = raw.path.as_str();
        if path.starts_with("/services/") {
            if !self.may_post() {
                return Answer::Limited(1, "rate_limited");
            }
            return match rules::check(body, rules::TEXT_MAX) {
                Err("no_text") => Answer::Text(400, "no_text"),
                Err(_) => Answer::Text(400, "invalid_blocks"),
                Ok(()) => {
                    self.post(body, at);
                    Answer::Text(200, "ok")
                }
            };
        }
        let Some(method) = path.strip_prefix("/api/") else { return Answer::Text(200, "ok") };
        let wrong = |code: &str| Answer::Json(json!({ "ok": false, "error": code }));
        let authorization = raw.headers.iter().find(|(name, _)| name == "authorization");
        match authorization.map(|(_, value)| value.as_str()) {
            None => return wrong("not_authed"),
            Some(value) if value != format!("Bearer {TOKEN}") => return wrong("invalid_auth"),
            Some(_) => {}
        }
        if !matches!(body["channel"].as_str(), Some(CHANNEL | CHANNEL_NAME)) {
            return wrong("channel_not_found");
        }
        match method {
            "chat.postMessage" => {
                if !self.may_post() {
                    return Answer::Limited(1, "{\"ok\":false,\"error\":\"ratelimited\"}");
                }
                if let Err(code) = rules::check(body, rules::TEXT_MAX) {
                    return wrong(code);
                }
                let is_root =
                    |ts: &str| self.messages.iter().any(|it| it.ts == ts && it.thread_ts.is_none());
                if body["thread_ts"].as_str().is_some_and(|ts| !is_root(ts)) {
                    return wrong("thread_not_found");
                }
                let ts = self.post(body, at);
                Answer::Json(json!({ "ok": true, "channel": CHANNEL, "ts": ts }))
            }
            // Only the id of a channel will do here.
            "chat.update" if body["channel"] != CHANNEL => wrong("channel_not_found"),
            "chat.update" => self.update(body, at),
            _ => wrong("unknown_method"),
        }
    }

    fn post(&mut self, body: &Value, at: Duration) -> String {
        let ts = format!("1700000000.{:06}", self.messages.len() + 1);
        self.messages.push(Posted {
            ts: ts.clone(),
            thread_ts: body["thread_ts"].as_str().map(str::to_owned),
            broadcast: body["reply_broadcast"] == json!(true),
            body: body.clone(),
            at,
            edits: Vec::new(),
        });
        ts
    }

    fn update(&mut self, body: &Value, at: Duration) -> Answer {
        let wrong = |code: &str| Answer::Json(json!({ "ok": false, "error": code }));
        let now = Instant::now();
        self.edited.retain(|edit| now.duration_since(*edit) < Duration::from_secs(60));
        if self.edited.len() >= EDITS_A_MINUTE {
            return Answer::Limited(60, "{\"ok\":false,\"error\":\"ratelimited\"}");
        }
        self.edited.push_back(now);
        if let Err(code) = rules::check(body, rules::UPDATE_TEXT_MAX) {
            return wrong(code);
        }
        let window = self.edit_window;
        let Some(message) = self.messages.iter_mut().find(|message| body["ts"] == message.ts)
        else {
            return wrong("message_not_found");
        };
        if at.saturating_sub(message.at) > window {
            return wrong("edit_window_closed");
        }
        message.edits.push((at, body.clone()));
        Answer::Json(json!({ "ok": true, "channel": CHANNEL, "ts": message.ts }))
    }

    /// One message a second, and a few at once.
    fn may_post(&mut self) -> bool {
        let now = Instant::now();
        self.tokens += now.duration_since(self.filled).as_secs_f64();
        (self.tokens, self.filled) = (self.tokens.min(BURST), now);
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }
}
