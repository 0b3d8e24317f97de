//! As much HTTP/1.1 as a model server needs: one request per connection, whole or chunked answers.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Heads larger than this are no request of an agent.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A request carries a whole conversation; the largest seen by an agent was a few MiB.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Claude sends about 25 headers.
const HEADERS_MAX: usize = 128;

/// The head and body of a request, not yet understood.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Reads one request; `None` when the client closed without sending one.
pub(crate) fn read(mut stream: &TcpStream) -> io::Result<Option<Raw>> {
    let mut buffer = Vec::new();
    let (mut request, head_len) = loop {
        if let Some(parsed) = parse_head(&buffer)? {
            break parsed;
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(invalid("request head is too large"));
        }
        if read_more(stream, &mut buffer)? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(invalid("request head is cut")) };
        }
    };
    let header = |name: &str| {
        request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    };
    if header("transfer-encoding").is_some() {
        return Err(invalid("chunked request bodies are not supported"));
    }
    let length = match header("content-length") {
        Some(length) => length.parse().map_err(|_| invalid("content-length is no number"))?,
        None => 0,
    };
    if length > BODY_BYTES_MAX {
        return Err(invalid("request body is too large"));
    }
    if header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = buffer.split_off(head_len);
    while request.body.len() < length {
        if read_more(stream, &mut request.body)? == 0 {
            return Err(invalid("request body is cut"));
        }
    }
    request.body.truncate(length);
    Ok(Some(request))
}

/// Writes the status line and the headers of an answer whose body follows in chunks.
pub(crate) fn write_chunked_head(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(String, String)],
) -> io::Result<()> {
    let head = head(status, headers, "transfer-encoding: chunked\r\n");
    stream.write_all(head.as_bytes())
}

/// Writes one chunk of a chunked body; the empty chunk ends it.
pub(crate) fn write_chunk(mut stream: &TcpStream, chunk: &str) -> io::Result<()> {
    // One write, so that a client never sees half of an event because of us.
    stream.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes())
}

/// Writes a whole answer.
pub(crate) fn write_whole(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<()> {
    let head = head(status, headers, &format!("content-length: {}\r\n", body.len()));
    stream.write_all(format!("{head}{body}").as_bytes())
}

/// Writes an answer that promises `body` and delivers half of it.
pub(crate) fn write_half(
    mut stream: &TcpStream,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<()> {
    let head = head(200, headers, &format!("content-length: {}\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body.as_bytes()[..body.len() / 2])
}

fn head(status: u16, headers: &[(String, String)], framing: &str) -> String {
    let reason = reason(status);
    let mut head = format!("HTTP/1.1 {status} {reason}\r\nconnection: close\r\n{framing}");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("writing to a string succeeds");
    }
    head.push_str("\r\n");
    head
}

/// The reason phrase: where a body has no words that an agent knows, it hands on these.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Payload Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Scripted",
    }
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(Raw, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let parsed = head.parse(buffer).map_err(|_| invalid("request head is no HTTP"))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let headers = head
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        })
        .collect();
    let request = Raw {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
    };
    Ok(Some((request, length)))
}

fn read_more(mut stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut bytes = [0; 16 * 1024];
    let n = stream.read(&mut bytes)?;
    buffer.extend_from_slice(&bytes[..n]);
    Ok(n)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
