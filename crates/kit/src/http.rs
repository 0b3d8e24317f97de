//! The server that an agent is: requests to it, and its events.
//!
//! It listens on 127.0.0.1 and wants a password that only we know: an open one would let any program of this
//! machine run commands as us (the class of CVE-2026-22812).

use crate::limits::{CONNECT, LINE_BYTES_MAX};
use crate::runner::incoming::Incoming;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use belay_agents::{HttpId, LineSplitter, Server};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{self, Bytes};
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use uuid::Uuid;

/// Where the agent's server is, and how it knows us.
#[derive(Clone)]
pub(crate) struct Loopback {
    port: u16,
    authorization: String,
    inbox: mpsc::WeakSender<Incoming>,
    /// Who reads its events.
    listener: Arc<Mutex<Option<AbortHandle>>>,
}

type Failed = Box<dyn Error + Send + Sync>;

impl Loopback {
    /// Chooses a port and a password, and tells them to the agent by its arguments and its environment.
    pub(crate) fn choose(
        server: Server,
        args: &mut [OsString],
        env: &mut Vec<(OsString, OsString)>,
        inbox: &mpsc::Sender<Incoming>,
    ) -> io::Result<Self> {
        // Free now; the agent says so if somebody was quicker than it.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        for arg in args {
            if let Some(text) = arg.to_str().filter(|text| text.contains(Server::PORT)) {
                *arg = text.replace(Server::PORT, &port.to_string()).into();
            }
        }
        // 244 random bits.
        let password = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let authorization =
            format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{password}", server.user)));
        env.push((server.password_env.into(), password.into()));
        Ok(Self { port, authorization, inbox: inbox.downgrade(), listener: Arc::default() })
    }

    /// Sends a request; the answer goes to the inbox, or why there is none.
    pub(crate) fn call(&self, id: HttpId, method: &'static str, path: &str, body: Option<Vec<u8>>) {
        let (this, path) = (self.clone(), path.to_owned());
        tokio::spawn(async move {
            let answer = this.answer(method, &path, body).await;
            let (status, body) = answer.unwrap_or_else(|error| (0, error.to_string().into_bytes()));
            this.tell(Incoming::Http(id, status, body)).await;
        });
    }

    /// Reads events; each goes to the inbox, and at last why there are no more. Whoever has read them before stops: no
    /// event comes twice.
    pub(crate) fn listen(&self, id: HttpId, path: &str) {
        let (this, path) = (self.clone(), path.to_owned());
        let listener = tokio::spawn(async move {
            let (status, body) = match this.events(&path).await {
                Ok(status) => (status, Vec::new()),
                Err(error) => (0, error.to_string().into_bytes()),
            };
            this.tell(Incoming::Http(id, status, body)).await;
        });
        let mut current = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = current.replace(listener.abort_handle()) {
            before.abort();
        }
    }

    /// A run that is over wants to hear nothing more.
    async fn tell(&self, output: Incoming) {
        if let Some(inbox) = self.inbox.upgrade() {
            let _ = inbox.send(output).await;
        }
    }

    async fn answer(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(u16, Vec<u8>), Failed> {
        let response = self.send(method, path, body, "application/json").await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LINE_BYTES_MAX).collect().await?;
        Ok((status, body.to_bytes().to_vec()))
    }

    async fn events(&self, path: &str) -> Result<u16, Failed> {
        let response = self.send("GET", path, None, "text/event-stream").await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut lines = LineSplitter::new(LINE_BYTES_MAX);
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            let mut events = Vec::new();
            lines.push(&bytes, |line| events.extend(data(line.bytes).map(<[u8]>::to_vec)));
            for event in events {
                self.tell(Incoming::Sse(event)).await;
            }
        }
        Ok(status)
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        accept: &str,
    ) -> Result<Response<body::Incoming>, Failed> {
        let connect = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let stream = timeout(CONNECT, connect).await??;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("127.0.0.1:{}", self.port))
            .header(AUTHORIZATION, &self.authorization)
            .header(ACCEPT, accept);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        Ok(sender.send_request(request).await?)
    }
}

/// What a line of an event stream says, if it says anything: each event is one line of data.
fn data(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let data = line.strip_prefix(b"data:")?;
    Some(data.strip_prefix(b" ").unwrap_or(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_data_is_an_event_and_other_lines_are_none() {
        assert_eq!(data(b"data: {}\r"), Some(&b"{}"[..]));
        assert_eq!(data(b"data:x"), Some(&b"x"[..]));
        assert_eq!((data(b""), data(b"id: 7"), data(b": still here")), (None, None, None));
    }
}
