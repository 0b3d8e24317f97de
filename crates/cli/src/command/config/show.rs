//! `belay config show`

use crate::config::{Config, Origin, Row, Wanted, Which};
use crate::fail::Fail;
use crate::page::Page;
use crate::say::without_secrets;
use belay_trace::{exit_code, visible_json, visible_line};
use clap::Args;
use serde_json::{Map, Value as Json, json};
use std::io::Write as _;
use unicode_width::UnicodeWidthStr as _;

/// Print every setting with its value and where that comes from.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// As it is with this profile.
    #[arg(short = 'P', long, value_name = "NAME")]
    profile: Option<String>,
}

impl Show {
    pub(super) fn run(self) -> Result<u8, Fail> {
        let wanted = Wanted { flag: self.profile.as_deref(), noted: None };
        let config = Config::load(wanted, None)?;
        let page = Page::new();
        let mut out = page.clone();
        if self.json {
            let text = serde_json::to_string_pretty(&as_json(&config)).map_err(Fail::local)?;
            let _ = writeln!(out, "{}", visible_json(&without_secrets(&text)));
        } else {
            let _ = out.write_all(without_secrets(&as_text(&config)).as_bytes());
        }
        page.end()?;
        Ok(exit_code::ANSWERED)
    }
}

fn as_text(config: &Config) -> String {
    let mut text = String::new();
    for which in [Which::User, Which::Project] {
        let file = config.files.iter().find(|(of, _)| *of == which);
        let shown = match (file, which) {
            (Some((_, path)), _) => path.display().to_string(),
            (None, Which::User) => {
                let path = config.places.user.as_ref();
                path.map_or("none".to_owned(), |path| format!("none ({})", path.display()))
            }
            (None, Which::Project) => "none".to_owned(),
        };
        text.push_str(&format!("# {which} file: {}\n", visible_line(&shown)));
    }
    match &config.chosen {
        Some(chosen) => {
            let words = format!("# profile: {} ({})", chosen.name, chosen.origin);
            text.push_str(&format!("{}\n", visible_line(&words)));
        }
        None if config.profiles.is_empty() => {}
        None => {
            let words = format!("# no profile of {}", config.profiles.join(", "));
            text.push_str(&format!("{}\n", visible_line(&words)));
        }
    }
    let rows: Vec<_> = config.rows().iter().map(cells).collect();
    let width = |cell: fn(&[String; 3]) -> &String, most: usize| {
        rows.iter().map(|row| cell(row).width()).filter(|width| *width <= most).max().unwrap_or(0)
    };
    let (keys, values) = (width(|row| &row[0], 60), width(|row| &row[1], 40));
    for [key, value, origin] in &rows {
        text.push_str(&format!("{key:<keys$}  {value:<values$}  # {origin}\n"));
    }
    text
}

fn cells(row: &Row) -> [String; 3] {
    let value = match &row.value {
        Json::Null => "-".to_owned(),
        value => visible_line(&value.to_string()).into_owned(),
    };
    let mut origin = match &row.value {
        Json::Null => "not set".to_owned(),
        _ => row.origin.to_string(),
    };
    if let Some(instead) = &row.instead_of {
        let (value, of) = instead.as_ref();
        origin.push_str(&format!("; {value} is looser ({of})"));
    }
    [row.key.clone(), value, visible_line(&origin).into_owned()]
}

fn as_json(config: &Config) -> Json {
    let file = |which| {
        let file = config.files.iter().find(|(of, _)| *of == which);
        json!(file.map(|(_, path)| path.to_string_lossy()))
    };
    let settings: Map<String, Json> = config.rows().into_iter().map(setting).collect();
    let chosen = config.chosen.as_ref();
    json!({
        "files": { "user": file(Which::User), "project": file(Which::Project) },
        "profiles": config.profiles,
        "profile": chosen.map(|chosen| json!({ "name": chosen.name, "origin": origin(&chosen.origin) })),
        "settings": settings,
    })
}

fn setting(row: Row) -> (String, Json) {
    let mut setting = json!({ "value": row.value, "origin": origin(&row.origin) });
    if let Some(instead) = row.instead_of {
        let (value, of) = *instead;
        setting["instead_of"] = json!({ "value": value, "origin": origin(&of) });
    }
    (row.key, setting)
}

fn origin(origin: &Origin) -> Json {
    match origin {
        Origin::BuiltIn => json!({ "kind": "built_in" }),
        Origin::Flag(flag) => json!({ "kind": "flag", "name": flag }),
        Origin::Environment(name) => json!({ "kind": "environment", "name": name }),
        Origin::File { which, path, line, profile } => json!({
            "kind": which.to_string(), "path": path.to_string_lossy(), "line": line, "profile": profile.as_deref(),
        }),
    }
}
