//! A tiny HTTP client for the tests of the model server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use belay_testkit::model_server::ModelServer;
use serde_json::Value;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn ask(server: &ModelServer, path: &str, body: &Value) -> Answer {
    parse(&ask_until_closed(server, path, body))
}

/// The raw answer, up to where the server closed.
pub(crate) fn ask_until_closed(server: &ModelServer, path: &str, body: &Value) -> String {
    read_to_end(&send(server, "POST", path, body))
}

pub(crate) fn head(server: &ModelServer, path: &str) -> u16 {
    parse(&read_to_end(&send(server, "HEAD", path, &Value::Null))).status
}

pub(crate) fn connect(server: &ModelServer) -> TcpStream {
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

pub(crate) fn send(server: &ModelServer, method: &str, path: &str, body: &Value) -> TcpStream {
    let mut stream = connect(server);
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    stream
}

pub(crate) fn read_to_end(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    drop(stream.read_to_end(&mut bytes));
    String::from_utf8(bytes).unwrap()
}

/// The events of a stream; each must have a name that is its type.
pub(crate) fn sse_events(body: &str) -> Vec<Value> {
    assert!(body.ends_with("\n\n"), "an event is not finished: {body}");
    let frames = body.split_terminator("\n\n");
    frames
        .map(|frame| {
            let (name, data) = frame.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
            data
        })
        .collect()
}

fn parse(raw: &str) -> Answer {
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Answer { status, headers, body }
}

fn unchunked(mut raw: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, rest) = raw.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            assert_eq!(rest, "\r\n");
            return body;
        }
        body.push_str(&rest[..size]);
        raw = rest[size..].strip_prefix("\r\n").unwrap();
    }
}
