//! A service on loopback that keeps what it is sent, and answers as it is told: well, late, badly or never.
//!
//! ```
//! use belay_testkit::receiver::{Answer, Receiver};
//!
//! let receiver = Receiver::start(|request| match request.path.as_str() {
//!     "/v1/traces" => Answer::status(200),
//!     _ => Answer::status(404),
//! })?;
//! assert!(receiver.url().starts_with("http://127.0.0.1:"));
//! assert!(receiver.requests().is_empty());
//! # std::io::Result::Ok(())
//! ```

use crate::model_server::http;
use std::fmt;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A service that lives until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The method, for example `POST`.
    pub method: String,
    /// The path as it was sent, with its query.
    pub path: String,
    /// The headers in the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it came, perhaps zipped.
    pub body: Vec<u8>,
}

/// What a request is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 is no answer at all, and the connection stays open.
    pub status: u16,
    /// The headers beside those of the framing.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long each byte of the answer takes.
    pub pace: Duration,
}

type Answering = dyn FnMut(&Received) -> Answer + Send;

struct Shared {
    answer: Mutex<Box<Answering>>,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Received>,
    connections: Vec<TcpStream>,
    closed: bool,
}

impl Answer {
    /// A status with nothing else.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// The connection is taken, the request is read, and nothing comes.
    pub fn never() -> Self {
        Self::default()
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As slow as this, byte by byte.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }
}

impl Received {
    /// The value of a header; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Starts a service on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start(answer: impl FnMut(&Received) -> Answer + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answer: Mutex::new(Box::new(answer)),
            state: Mutex::default(),
            news: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || theirs.accept(&listener));
        Ok(Self { address, shared })
    }

    /// The base address, `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.lock().requests.clone()
    }

    /// Waits until what was received is enough, and gives it.
    ///
    /// # Panics
    /// When a minute is not enough.
    pub fn wait(&self, is_enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut state = self.shared.lock();
        while !is_enough(&state.requests) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never enough: {} requests", state.requests.len());
            let waited = self.shared.news.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.requests.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        // So that the acceptor sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            if self.lock().closed {
                return;
            }
            let shared = Arc::clone(&self);
            thread::spawn(move || {
                // A client that goes away is its own affair.
                let _ = shared.serve(&stream);
            });
        }
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        self.lock().connections.push(stream.try_clone()?);
        let Some(raw) = http::read(stream)? else { return Ok(()) };
        let received =
            Received { method: raw.method, path: raw.path, headers: raw.headers, body: raw.body };
        let answer = {
            let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = answer(&received);
            self.lock().requests.push(received);
            answer
        };
        self.news.notify_all();
        if answer.status == 0 {
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: close\r\n", answer.status);
        for (name, value) in &answer.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "content-length: {}\r\n\r\n", answer.body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&answer.body);
        let mut out = stream;
        if answer.pace.is_zero() {
            out.write_all(&bytes)?;
        } else {
            for byte in bytes {
                thread::sleep(answer.pace);
                out.write_all(&[byte])?;
            }
        }
        stream.shutdown(Shutdown::Write)
    }
}
