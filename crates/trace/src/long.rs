//! The texts of an event that an agent fills, and which may therefore be of any length.

use crate::{Event, Json, Record};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::mem;

/// Calls `see` with the text of each field that may be long.
fn visit<'a>(event: &'a Event, see: &mut dyn FnMut(&'a str)) {
    match event {
        Event::Text(event) => see(&event.text),
        Event::Reasoning(event) => see(&event.reasoning),
        Event::TextRetracted(event) => see(&event.text),
        Event::ToolCallDelta(event) => see(&event.args),
        Event::ToolCall(event) => see(event.args.get()),
        Event::ToolResult(event) => see(&event.output),
        Event::Plan(event) => event.items.iter().for_each(|item| see(&item.text)),
        Event::BackgroundTasks(event) => {
            event.tasks.iter().for_each(|task| see(&task.description));
        }
        Event::PermissionRequest(event) => see(event.args.get()),
        Event::Notice(event) => see(&event.text),
        Event::Steered(event) => see(&event.text),
        Event::Unknown(event) => see(&event.line),
        Event::Result(event) => {
            see(&event.result);
            event.structured.iter().for_each(|value| see(value.get()));
        }
        _ => {}
    }
}

/// Like [`visit`], with the names of the fields and the possibility to change them.
///
/// The names are those of the JSON; a step of a plan is `items.N.text`, a task `tasks.N.description`.
fn visit_mut(event: &mut Event, see: &mut dyn FnMut(&str, Field<'_>)) {
    match event {
        Event::Text(event) => see("text", Field::Text(&mut event.text)),
        Event::Reasoning(event) => see("reasoning", Field::Text(&mut event.reasoning)),
        Event::TextRetracted(event) => see("text", Field::Text(&mut event.text)),
        Event::ToolCallDelta(event) => see("args", Field::Text(&mut event.args)),
        Event::ToolCall(event) => see("args", Field::Json(&mut event.args)),
        Event::ToolResult(event) => see("output", Field::Text(&mut event.output)),
        Event::Plan(event) => {
            for (n, item) in event.items.iter_mut().enumerate() {
                see(&format!("items.{n}.text"), Field::Text(&mut item.text));
            }
        }
        Event::BackgroundTasks(event) => {
            for (n, task) in event.tasks.iter_mut().enumerate() {
                see(&format!("tasks.{n}.description"), Field::Text(&mut task.description));
            }
        }
        Event::PermissionRequest(event) => see("args", Field::Json(&mut event.args)),
        Event::Notice(event) => see("text", Field::Text(&mut event.text)),
        Event::Steered(event) => see("text", Field::Text(&mut event.text)),
        Event::Unknown(event) => see("line", Field::Text(&mut event.line)),
        Event::Result(event) => {
            see("result", Field::Text(&mut event.result));
            if let Some(value) = &mut event.structured {
                see("structured", Field::Json(value));
            }
        }
        _ => {}
    }
}

/// A field of an event that may be long.
enum Field<'a> {
    Text(&'a mut String),
    Json(&'a mut Json),
}

/// A field that was taken out of a record because of its size.
#[derive(Clone, Debug)]
pub struct LongField {
    name: String,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Json(Json),
}

impl LongField {
    /// Its name in JSON.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text: a JSON text if the field is any JSON value.
    pub fn text(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            Value::Json(value) => value.get(),
        }
    }
}

/// How much of a field stays when it is taken out: enough to see what it is.
const BEGINNING_BYTES: usize = 4 << 10;

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(BEGINNING_BYTES)]
}

impl Record {
    /// About how much memory the record takes, in bytes: what its texts need, and a little for the rest.
    ///
    /// For whoever keeps records in a queue that must not grow without end.
    pub fn weight(&self) -> usize {
        let mut bytes = size_of::<Self>();
        visit(&self.event, &mut |text| bytes += text.len());
        bytes
    }

    /// Takes the fields out whose text is longer than this, and leaves their beginnings in place (of a JSON value
    /// a string with the beginning of its text).
    pub fn take_long_fields(&mut self, bytes_max: usize) -> Vec<LongField> {
        let mut taken = Vec::new();
        visit_mut(&mut self.event, &mut |name, field| {
            let value = match field {
                Field::Text(text) if text.len() > bytes_max => {
                    let beginning = beginning(text).to_owned();
                    Value::Text(mem::replace(text, beginning))
                }
                Field::Json(value) if value.get().len() > bytes_max => {
                    let beginning = Json::from(serde_json::Value::from(beginning(value.get())));
                    Value::Json(mem::replace(value, beginning))
                }
                _ => return,
            };
            taken.push(LongField { name: name.to_owned(), value });
        });
        taken
    }

    /// Puts fields back that were taken out.
    pub fn put_back(&mut self, fields: Vec<LongField>) {
        for LongField { name, value } in fields {
            let mut value = Some(value);
            visit_mut(&mut self.event, &mut |at, field| {
                if at == name {
                    match (field, value.take()) {
                        (Field::Text(text), Some(Value::Text(whole))) => *text = whole,
                        (Field::Json(json), Some(Value::Json(whole))) => *json = whole,
                        _ => {}
                    }
                }
            });
        }
    }

    /// Puts a text in the place of a field's beginning; says whether there is such a field.
    pub(crate) fn fill(&mut self, name: &str, whole: String) -> bool {
        let (mut whole, mut filled) = (Some(whole), false);
        visit_mut(&mut self.event, &mut |at, field| {
            if at == name
                && let Some(whole) = whole.take()
            {
                filled = match field {
                    Field::Text(text) => {
                        *text = whole;
                        true
                    }
                    Field::Json(json) => Json::parse(whole).map(|value| *json = value).is_ok(),
                };
            }
        });
        filled
    }

    /// Reads a stored line. Unlike `serde_json::from_slice`, it keeps the JSON that an agent wrote as it wrote
    /// it, so that the record is written again byte for byte.
    ///
    /// # Errors
    /// When the line is no record.
    pub fn from_line(line: &[u8]) -> serde_json::Result<Self> {
        /// What serde, which buffers a tagged event, would decode.
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Raw<'a> {
            #[serde(borrow)]
            args: Option<&'a RawValue>,
            #[serde(borrow)]
            structured: Option<&'a RawValue>,
        }
        let mut record: Self = serde_json::from_slice(line)?;
        let raw = || serde_json::from_slice::<Raw<'_>>(line).unwrap_or_default();
        let (args, structured): (Option<&mut Json>, _) = match &mut record.event {
            Event::ToolCall(call) => (Some(&mut call.args), None),
            Event::PermissionRequest(request) => (Some(&mut request.args), None),
            Event::Result(result) => (None, result.structured.as_mut()),
            _ => (None, None),
        };
        if let Some(args) = args
            && let Some(raw) = raw().args
        {
            *args = Json::from_raw(raw);
        }
        if let Some(structured) = structured
            && let Some(raw) = raw().structured
        {
            *structured = Json::from_raw(raw);
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunResult, ToolCall};

    #[test]
    fn a_stored_line_is_written_again_byte_for_byte() {
        let json = |text: &str| Json::parse(text).unwrap();
        let odd = r#"{ "z" : 1.00, "a":1e2,"big":123456789012345678901234567890, "s":"\u00e9\/" }"#;
        let call = ToolCall { args: json(odd), ..ToolCall::default() };
        let usage = crate::Usage { total_cost_usd: Some(0.1 + 0.2), ..Default::default() };
        let result = RunResult { structured: Some(json(odd)), usage, ..RunResult::default() };
        for event in [Event::ToolCall(call), Event::Result(result)] {
            let line = serde_json::to_string(&Record::new("r", event)).unwrap();
            let again = Record::from_line(line.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), line);
        }
    }

    #[test]
    fn a_value_over_several_lines_stays_on_one() {
        let call =
            ToolCall { args: Json::parse("{\n\"a\":\n\"x\\ny\"}").unwrap(), ..ToolCall::default() };
        let line = serde_json::to_string(&Record::new("r", Event::ToolCall(call))).unwrap();
        assert!(!line.contains('\n') && line.contains(r#"{ "a": "x\ny"}"#), "{line}");
    }

    #[test]
    fn the_weight_grows_with_the_text() {
        let weight =
            |len| Record::new("r", Event::notice(crate::Level::Info, "n", "x".repeat(len)));
        assert_eq!(weight(1000).weight() - weight(0).weight(), 1000);
    }
}
