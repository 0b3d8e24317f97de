//! A scripted model server on loopback that answers like Anthropic, like OpenAI and like Google.
//!
//! The script is a queue of [`Reply`]s; the agent's requests take them in order. The same script
//! works on every API: `POST /v1/messages` gets Anthropic's shapes, `POST /v1/responses` and
//! `POST /v1/chat/completions` those of OpenAI's two APIs, and `/v1beta/models/{model}:{method}`
//! those of Gemini's.
//!
//! ```
//! use belay_testkit::model_server::{ModelServer, Reply, Script};
//!
//! let server = ModelServer::start(
//!     Script::new().reply(Reply::text("I will run it.").shell("echo hi")).reply(Reply::text("done")),
//! )?;
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! # std::io::Result::Ok(())
//! ```

mod anthropic;
mod chat;
mod connection;
mod failure;
mod gemini;
pub(crate) mod http;
mod ids;
mod pulse;
mod reply;
mod responses;
mod script;
mod sse;

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use pulse::Pulse;

pub use reply::{Reply, StopReason, Tokens};
pub use script::{Replies, Script};

/// A scripted model server that lives until it is dropped.
///
/// Dropping it closes the port and every connection, stalled ones too, and joins its threads.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// One request as the server received it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The method, for example `POST`.
    pub method: String,
    /// The path as it was sent, with its query: Claude asks for `/v1/messages?beta=true`.
    pub path: String,
    /// The headers in the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as JSON; a body that is no JSON is a string, no body is null.
    pub body: Value,
    /// When it had arrived, counted from the start of the server.
    pub at: Duration,
}

/// What the threads of one server share.
#[derive(Debug)]
struct Shared {
    started: Instant,
    pulse: Pulse,
    script: Mutex<Script>,
    requests: Mutex<Vec<Request>>,
    titles: Mutex<Vec<Request>>,
    exhausted: Mutex<Vec<String>>,
    connections: Mutex<Connections>,
}

/// The open connections, kept so that a drop can close them.
#[derive(Debug, Default)]
struct Connections {
    next_id: u64,
    open: HashMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl ModelServer {
    /// Starts a server on a free port of 127.0.0.1.
    pub fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            started: Instant::now(),
            pulse: Pulse::default(),
            script: Mutex::new(script),
            requests: Mutex::default(),
            titles: Mutex::default(),
            exhausted: Mutex::default(),
            connections: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// The server's base address, `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, probes included and [`titles`](Self::titles) not, in the order they
    /// arrived.
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.shared.requests).clone()
    }

    /// The requests for a title, which OpenCode makes on the side of a conversation.
    ///
    /// They take no reply of the script and are always answered with the same few words.
    pub fn titles(&self) -> Vec<Request> {
        locked(&self.shared.titles).clone()
    }

    /// What was asked when the script had nothing left, one line per request.
    ///
    /// Empty means that the script was long enough.
    pub fn exhausted(&self) -> Vec<String> {
        locked(&self.shared.exhausted).clone()
    }

    /// How many replies of the script's queue nobody has asked for yet.
    pub fn replies_left(&self) -> usize {
        locked(&self.shared.script).left()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.pulse.stop();
        // The acceptor sits in accept(); a connection of our own wakes it, and it sees the stop.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        let threads = {
            let mut connections = locked(&self.shared.connections);
            for stream in connections.open.values() {
                drop(stream.shutdown(Shutdown::Both));
            }
            std::mem::take(&mut connections.threads)
        };
        for thread in threads {
            drop(thread.join());
        }
    }
}

impl Request {
    /// The value of the header with this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path without its query.
    pub fn route(&self) -> &str {
        self.path.split_once('?').map_or(self.path.as_str(), |(route, _)| route)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.pulse.stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(handle) = stream.try_clone() else { continue };
        let mut connections = locked(&shared.connections);
        let id = connections.next_id;
        connections.next_id += 1;
        connections.open.insert(id, handle);
        // Finished threads are let go, so that a long run of retries does not collect them.
        connections.threads.retain(|thread| !thread.is_finished());
        let shared = Arc::clone(shared);
        connections.threads.push(thread::spawn(move || {
            // An error here is a client that went away, which is the client's own business.
            drop(connection::serve(&stream, &shared));
            drop(stream.shutdown(Shutdown::Both));
            locked(&shared.connections).open.remove(&id);
        }));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread of the model server panics while it holds a lock")
}
