//! A tiny MCP server with one tool, so that real agents can be seen to call one.
//!
//! `lookup {"word": "rope"}` says `rope means MEANING`; the meaning comes from the variable
//! [`MEANING`] of the program `mcp-server`, or over HTTP from the header
//! [`MEANING_HEADER`]. So what the
//! model is told proves that the value has arrived.

use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::model_server::http;

/// The variable that the meaning of every word stands in.
pub const MEANING: &str = "MCP_MEANING";
/// With this variable `mcp-server` lists its tool and never answers a call of it.
pub const SILENT: &str = "MCP_SILENT";
/// The header that it stands in over HTTP.
pub const MEANING_HEADER: &str = "mcp-meaning";

/// Serves standard input until it is closed; this is all of `mcp-server`'s main.
///
/// # Errors
/// When a pipe breaks.
pub fn serve_stdio() -> io::Result<()> {
    let meaning = std::env::var(MEANING).unwrap_or_default();
    let is_silent = std::env::var_os(SILENT).is_some();
    let mut stdout = io::stdout();
    for line in io::stdin().lock().lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        if is_silent && message["method"] == "tools/call" {
            continue;
        }
        if let Some(answer) = answer(&message, &meaning) {
            writeln!(stdout, "{answer}")?;
            stdout.flush()?;
        }
    }
    Ok(())
}

/// The program `mcp-server` that was built together with the running test.
///
/// # Errors
/// When it was not built.
pub fn mcp_server_binary() -> io::Result<PathBuf> {
    crate::fake_agent::binary("mcp-server")
}

/// The same server over streamable HTTP, until it is dropped.
#[derive(Debug)]
pub struct McpHttpServer {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl McpHttpServer {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let acceptor = thread::spawn({
            let stopped = Arc::clone(&stopped);
            move || {
                for stream in listener.incoming() {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    // A client that goes away is its own business.
                    thread::spawn(move || drop(serve_http(&stream)));
                }
            }
        });
        Ok(Self { address, stopped, acceptor: Some(acceptor) })
    }

    /// Where its clients find it.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

impl Drop for McpHttpServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // The acceptor sits in accept(); a connection of our own wakes it.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

fn serve_http(mut stream: &TcpStream) -> io::Result<()> {
    let Some(request) = http::read(stream)? else { return Ok(()) };
    let header = request.headers.iter().find(|(name, _)| name == MEANING_HEADER);
    let meaning = header.map_or("", |(_, value)| value.as_str());
    let message = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
    let (status, body) = match (request.method.as_str(), answer(&message, meaning)) {
        ("POST", Some(answer)) => ("200 OK", answer.to_string()),
        ("POST", None) => ("202 Accepted", String::new()),
        // It has no events of its own to send, and no sessions to end.
        _ => ("405 Method Not Allowed", String::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The answer to a request; a notification has none.
fn answer(message: &Value, meaning: &str) -> Option<Value> {
    let id = message.get("id")?;
    let method = message["method"].as_str()?;
    let result = match method {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "belay-test", "version": "1.0.0" },
        }),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": [{
            "name": "lookup",
            "description": "Says what a word means.",
            "inputSchema": {
                "type": "object",
                "properties": { "word": { "type": "string" } },
                "required": ["word"],
            },
        }]}),
        "tools/call" => {
            let word = message["params"]["arguments"]["word"].as_str().unwrap_or("?");
            json!({ "content": [{ "type": "text", "text": format!("{word} means {meaning}") }] })
        }
        _ => {
            let error = json!({ "code": -32601, "message": format!("no method {method}") });
            return Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}
