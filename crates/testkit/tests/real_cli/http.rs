//! As much HTTP as a test needs to talk with an agent that is a server.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A server on loopback and the header that it wants.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) authorization: Option<String>,
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Events(BufReader<Chunks>);

/// The head of an answer; a body without a length comes in chunks.
struct Head {
    status: u16,
    length: Option<u64>,
}

/// A body in chunks.
#[derive(Debug)]
struct Chunks {
    stream: BufReader<TcpStream>,
    left: usize,
}

impl Server {
    /// The status and the body; null for an empty body, a string for one that is no JSON.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (head, stream) = self.open(method, path, body);
        let mut text = String::new();
        // Not up to the end of the connection: the server keeps one open now and then.
        match head.length {
            Some(length) => stream.take(length).read_to_string(&mut text).unwrap(),
            None => Chunks { stream, left: 0 }.read_to_string(&mut text).unwrap(),
        };
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        };
        (head.status, body)
    }

    pub(crate) fn events(&self, path: &str) -> Events {
        let (head, stream) = self.open("GET", path, &Value::Null);
        assert!(head.status == 200 && head.length.is_none(), "{}", head.status);
        Events(BufReader::new(Chunks { stream, left: 0 }))
    }

    /// Asks, and reads the head of the answer.
    fn open(&self, method: &str, path: &str, body: &Value) -> (Head, BufReader<TcpStream>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some(authorization) = &self.authorization {
            head.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        head.push_str("Content-Type: application/json\r\nConnection: close\r\n");
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();

        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(stream.read_line(&mut line).unwrap() > 0, "the head is cut: {lines:?}");
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_ascii_lowercase());
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
        (Head { status, length: length.map(|length| length.parse().unwrap()) }, stream)
    }
}

impl Events {
    /// The events up to the first of which this is true, that one included.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard: Vec<Value> = Vec::new();
        while !heard.last().is_some_and(&wanted) {
            let mut line = String::new();
            let read = self.0.read_line(&mut line);
            assert!(read.is_ok_and(|read| read > 0), "the events ended: {heard:#?}");
            if let Some(data) = line.strip_prefix("data: ") {
                heard.push(serde_json::from_str(data).unwrap());
            }
        }
        heard
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let mut size = String::new();
            // The end of the chunk before stands in front of the size of this one.
            while size.trim().is_empty() {
                size.clear();
                if self.stream.read_line(&mut size)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(size.trim(), 16).unwrap();
            if self.left == 0 {
                return Ok(0);
            }
        }
        let end = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..end])?;
        self.left -= read;
        Ok(read)
    }
}
