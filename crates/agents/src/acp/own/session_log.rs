//! The file in which an agent of a user's own writes down what each response has used.

use super::leaked;
use crate::session::{self, Response, SessionFiles, Tokens};
use crate::{framing, lines};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where that file is, and where in its lines, which are JSON, the figures of a response stand: JSON pointers
/// (`/message/usage/input`). A line without input or output tokens is no response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SessionLogForm {
    /// `~/FOLDER/…/NAME`: `{session}` in the name is the session's id, and `*` any one folder.
    pub path: String,
    /// Input tokens, without those from the cache unless `input_has_cached`.
    pub input: String,
    /// Output tokens, with the thoughts.
    pub output: String,
    /// Input tokens that came from the cache.
    pub cache_read: Option<String>,
    /// Input tokens that were written to the cache.
    pub cache_write: Option<String>,
    /// The input tokens contain those from the cache.
    pub input_has_cached: bool,
    /// When it was written: a time in RFC 3339, or seconds or milliseconds since 1970.
    pub at: Option<String>,
    /// The model.
    pub model: Option<String>,
}

/// The same, taken apart.
#[derive(Debug)]
pub(in crate::acp) struct SessionLog {
    form: SessionLogForm,
    home: &'static str,
    folder: &'static str,
    levels: usize,
    prefix: &'static str,
    suffix: &'static str,
}

/// What stands for the id of the session.
const SESSION: &str = "{session}";

/// The path of a file, taken apart: the agent's folder, the sessions' folder in it, how many folders lie between, and
/// what stands around the id in the name.
fn parts(path: &str) -> Result<(&str, String, usize, &str, &str), String> {
    let mistake = |why: &str| format!("`session_log.path`: {why}");
    let below = path.strip_prefix("~/").ok_or_else(|| mistake("begin it with ~/"))?;
    let (folders, name) = below.rsplit_once('/').ok_or_else(|| mistake("name a folder"))?;
    let (prefix, suffix) =
        name.split_once(SESSION).ok_or_else(|| mistake("put {session} into the file's name"))?;
    let folders: Vec<&str> = folders.split('/').collect();
    let named = folders.iter().take_while(|folder| **folder != "*").count();
    if folders[named..].iter().any(|folder| *folder != "*") {
        return Err(mistake("* stands behind all named folders"));
    }
    if named == 0 || folders.iter().any(|folder| matches!(*folder, "" | "." | "..")) {
        return Err(mistake("name a folder of the agent's own"));
    }
    Ok((folders[0], folders[1..named].join("/"), folders.len() - named, prefix, suffix))
}

impl SessionLogForm {
    pub(super) fn check(&self) -> Result<(), String> {
        parts(&self.path)?;
        let all = [
            Some(&self.input),
            Some(&self.output),
            self.cache_read.as_ref(),
            self.cache_write.as_ref(),
        ];
        let all = all.into_iter().chain([self.at.as_ref(), self.model.as_ref()]).flatten();
        match all.into_iter().find(|pointer| !pointer.starts_with('/')) {
            Some(wrong) => {
                Err(format!("`session_log`: `{wrong}` is no JSON pointer: begin it with /"))
            }
            None => Ok(()),
        }
    }

    /// An invalid path finds no file: [`check`](Self::check) says what is wrong with it.
    pub(super) fn log(self) -> SessionLog {
        let (home, folder, levels, prefix, suffix) = parts(&self.path).map_or_else(
            |_| (String::new(), String::new(), 0, String::new(), String::new()),
            |(home, folder, levels, prefix, suffix)| {
                (home.to_owned(), folder, levels, prefix.to_owned(), suffix.to_owned())
            },
        );
        let (home, folder) = (leaked(home), leaked(folder));
        SessionLog {
            form: self,
            home,
            folder,
            levels,
            prefix: leaked(prefix),
            suffix: leaked(suffix),
        }
    }
}

impl SessionLog {
    pub(in crate::acp) fn files(&self, session_id: &str) -> Option<SessionFiles> {
        let is_there = !self.home.is_empty() && session::is_id(session_id);
        is_there.then(|| SessionFiles {
            home_env: "",
            home: self.home,
            folder: self.folder,
            levels: self.levels,
            prefix: self.prefix,
            suffix: format!("{session_id}{}", self.suffix),
            beside: None,
        })
    }

    pub(in crate::acp) fn read(
        &self,
        since: Timestamp,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Vec<Response> {
        let mut responses = Vec::new();
        for line in lines {
            framing::decode_each(&lines::text(line), &mut |value: Value| {
                responses
                    .extend(self.response(&value).filter(|it| it.at.is_none_or(|at| at >= since)));
            });
        }
        responses
    }

    fn response(&self, line: &Value) -> Option<Response> {
        let count = |pointer: &str| line.pointer(pointer).and_then(Value::as_u64);
        let counted = |pointer: &Option<String>| pointer.as_deref().and_then(count).unwrap_or(0);
        let (input, output) = (count(&self.form.input), count(&self.form.output));
        input.or(output)?;
        let (cache_read, cache_write) =
            (counted(&self.form.cache_read), counted(&self.form.cache_write));
        let cached =
            if self.form.input_has_cached { cache_read.saturating_add(cache_write) } else { 0 };
        let input = input.unwrap_or(0).saturating_sub(cached);
        let tokens = Tokens {
            input,
            output: output.unwrap_or(0),
            cache_read,
            cache_write,
            ..Tokens::default()
        };
        let model = self.form.model.as_deref().and_then(|at| line.pointer(at)?.as_str());
        Some(Response {
            at: self.form.at.as_deref().and_then(|at| time(line.pointer(at)?)),
            model: model.map(str::to_owned),
            tokens,
            ..Response::default()
        })
    }
}

/// A time in words, or in seconds or milliseconds since 1970.
fn time(value: &Value) -> Option<Timestamp> {
    /// As seconds it would be in the year 5138.
    const MILLISECONDS_FROM: f64 = 1e11;
    match value {
        Value::String(text) => text.parse().ok(),
        value => {
            let number = value.as_f64()?;
            let seconds = if number >= MILLISECONDS_FROM { number / 1000.0 } else { number };
            Timestamp::from_millisecond((seconds * 1000.0) as i64).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> SessionLog {
        let form: SessionLogForm = serde_json::from_str(
            r#"{"path": "~/.mine/log/*/chat-{session}.jsonl", "input": "/u/in", "output": "/u/out",
                "cache_read": "/u/cached", "input_has_cached": true, "at": "/t", "model": "/m"}"#,
        )
        .unwrap();
        form.check().unwrap();
        form.log()
    }

    #[test]
    fn the_file_is_found_by_its_pattern() {
        let files = log().files("abcd-1234").unwrap();
        assert_eq!((files.home, files.folder, files.levels), (".mine", "log", 1));
        assert_eq!((files.prefix, &*files.suffix), ("chat-", "abcd-1234.jsonl"));
        assert_eq!(log().files("../../etc/passwd"), None);
        for wrong in [
            "/etc/{session}",
            "~/{session}.jsonl",
            "~/.a/x.jsonl",
            "~/.a/*/b/{session}",
            "~/../a/{session}",
        ] {
            let form = SessionLogForm { path: wrong.to_owned(), ..SessionLogForm::default() };
            assert!(form.check().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_with_figures_is_a_response_of_this_run_or_an_earlier_one() {
        let lines: [&[u8]; 4] = [
            br#"{"t": "2026-01-01T00:00:00Z", "u": {"in": 1, "out": 1}}"#,
            br#"{"t": 1798761600000, "m": "gpt-5.5", "u": {"in": 100, "out": 7, "cached": 90}}"#,
            br#"{"t": 1798761600, "said": "no figures"}"#,
            b"no JSON",
        ];
        let since = "2026-06-01T00:00:00Z".parse().unwrap();
        let responses = log().read(since, &mut lines.into_iter());
        assert_eq!(responses.len(), 1);
        let Response { tokens, model, .. } = &responses[0];
        assert_eq!((tokens.input, tokens.cache_read, tokens.output), (10, 90, 7));
        assert_eq!(model.as_deref(), Some("gpt-5.5"));
    }
}
