//! Passwords in addresses, and hashes of passwords.

use super::looks::{is_password, is_placeholder, is_random, is_reference};
use super::scan::{Scan, Shown};
use super::seen::Run;
use std::ops::Range;

/// How hashes of passwords begin in `/etc/shadow`, `.htpasswd` and tables of users.
pub(super) const HASHES: [&str; 12] = [
    "$1$",
    "$5$",
    "$6$",
    "$y$",
    "$2a$",
    "$2b$",
    "$2y$",
    "$apr1$",
    "$argon2",
    "{SSHA}",
    "{SHA}",
    "SCRAM-SHA-256$",
];

/// What follows `://`: `user:password@host`.
pub(super) fn link(text: &[u8], at: Range<usize>, scan: &mut Scan) {
    let from = at.end;
    let line = &text[from..scan.seen.end(text, Run::Address, from).min(from + 500)];
    let end = memchr::memchr(b'/', line);
    let is_open = end.is_none() && from + line.len() == text.len();
    // A slash may be in a password that nobody has encoded, if a host follows.
    let mut authority = &line[..end.unwrap_or(line.len())];
    if end.is_some() && !authority.contains(&b'@') && authority.contains(&b':') {
        let port = authority.iter().rposition(|byte| *byte == b':').map_or(0, |n| n + 1);
        let is_port = authority[port..].iter().all(u8::is_ascii_digit);
        if let Some(host) = memchr::memchr(b'@', line).filter(|_| !is_port) {
            authority = &line[..host + 1];
        }
    }
    let Some(host) = memchr::memrchr(b'@', authority) else {
        if is_open && let Some(colon) = memchr::memchr(b':', authority) {
            let hold = from + colon + 1;
            let shown = text.len() - hold;
            let is_port = authority[colon + 1..].iter().all(u8::is_ascii_digit);
            if !is_reference(&authority[colon + 1..]) {
                let shown = if is_port && shown < 6 { Shown::Beginning } else { Shown::of(shown) };
                scan.open_at(at.start, hold, shown, "url-password");
            }
        } else if is_open {
            scan.open_at(at.start, text.len(), Shown::Nothing, "url-password");
        }
        return;
    };
    let user = &authority[..host];
    let (secret, is_password) = match memchr::memchr(b':', user) {
        Some(colon) => (colon + 1..host, true),
        None => (0..host, false),
    };
    let value = &authority[secret.clone()];
    let words: [&[u8]; 11] = [
        b"PASSWORD",
        b"PASS",
        b"password",
        b"passwd",
        b"secret",
        b"pass",
        b"pwd",
        b"token",
        b"pw",
        b"x-oauth-basic",
        b"user",
    ];
    let is_word = words.contains(&value) || is_reference(value) || is_placeholder(value);
    if !is_word && (is_password && value.len() >= 3 || !is_password && is_random(value)) {
        scan.found(from + secret.start..from + secret.end, "url-password");
    }
    if is_open && is_password {
        // Another `@` may come.
        scan.open_at(at.start, from + secret.start, Shown::of(value.len()), "url-password");
    }
}

pub(super) fn hash(text: &[u8], at: Range<usize>, scan: &mut Scan) {
    if at.start < scan.seen.hashes_until {
        return;
    }
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"./$=,+_-:".contains(*byte);
    let len = text[at.end..].iter().take(300).take_while(is_part).count();
    let body = &text[at.end..at.end + len];
    scan.seen.hashes_until = at.end + len.min(150);
    let is_open = at.end + len == text.len();
    let longest =
        body.split(|byte| b"$,:".contains(byte)).map(<[u8]>::len).max().unwrap_or_default();
    let is_hash = longest >= 20
        && body.iter().any(u8::is_ascii_digit)
        && body.iter().any(u8::is_ascii_alphabetic);
    if is_hash && !super::looks::has_any(body, &[b"..."]) {
        scan.found(at.start..at.end + len, "password-hash");
    }
    if is_open {
        scan.open_at(at.start, at.start, Shown::of(len), "password-hash");
    }
}

/// What stands beside a password where no name does: `user:password@tcp(`, `:thin:user/password@`, lines of `.pgpass`.
pub(super) const PLACES: [&str; 6] = ["#HttpOnly_", "@tcp(", "@unix(", ":thin:", ":5432:", "*:*:"];

/// A line of a cookie jar: its last field is the cookie.
fn jar(text: &[u8], at: Range<usize>, scan: &mut Scan) {
    let rest = &text[at.end..text.len().min(at.end + 4096)];
    if at.start < scan.seen.jars_until {
        return;
    }
    let end = memchr::memchr2(b'\n', b'"', rest).unwrap_or(rest.len());
    scan.seen.jars_until = at.end + end;
    let Some(tab) = memchr::memrchr(b'\t', &rest[..end])
        .filter(|_| memchr::memchr_iter(b'\t', &rest[..end]).count() >= 6)
    else {
        if at.end + end == text.len() {
            scan.open_at(at.start, text.len(), Shown::Nothing, "cookie");
        }
        return;
    };
    let (from, to) = (at.end + tab + 1, at.end + end);
    if to - from >= 8 {
        scan.found(from..to, "cookie");
    }
    if to == text.len() {
        scan.open_at(at.start, from, Shown::of(to - from), "cookie");
    }
}

pub(super) fn place(text: &[u8], at: Range<usize>, scan: &mut Scan) {
    let word = &text[at.clone()];
    if word[0] == b'#' {
        return jar(text, at, scan);
    }
    let is_part = |byte: &u8| byte.is_ascii_graphic() && !b"\"'`<>".contains(byte);
    let rest = &text[at.end..text.len().min(at.end + 200)];
    let len = rest.iter().take_while(|byte| is_part(byte)).count();
    let rest = &rest[..len];
    let is_open = at.end + len == text.len();
    let secret = if word[0] == b'@' {
        let before = text[at.start.saturating_sub(100)..at.start]
            .iter()
            .rev()
            .take_while(|byte| is_part(byte));
        let from = at.start - before.count();
        memchr::memchr(b':', &text[from..at.start]).map(|n| from + n + 1..at.start)
    } else if word.ends_with(b"thin:") {
        let user = memchr::memchr(b'/', rest);
        let host = memchr::memrchr(b'@', rest);
        match (user, host) {
            (Some(user), Some(host)) if user < host => Some(at.end + user + 1..at.end + host),
            (Some(user), None) if is_open => {
                scan.open_at(at.start, at.end + user + 1, Shown::of(len - user - 1), "password");
                None
            }
            _ => None,
        }
    } else {
        // The rest of host:port:database:user:password.
        let colon = memchr::memchr_iter(b':', rest).nth(1);
        let from = colon.map(|n| at.end + n + 1);
        if is_open {
            let hold = from.unwrap_or(text.len());
            scan.open_at(at.start, hold, Shown::of(text.len() - hold), "password");
        }
        from.map(|from| from..at.end + len)
    };
    let Some(secret) = secret else { return };
    let value = &text[secret.clone()];
    if is_password(value) && !is_reference(value) && !is_placeholder(value) {
        scan.found(secret, "password");
    }
}
