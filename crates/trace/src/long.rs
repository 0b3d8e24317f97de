//! The texts of an event that an agent fills, and which may therefore be of any length.

use crate::{Event, Json, Record};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Calls `see` with the name and the text of each field that may be long.
///
/// The names are those of the JSON; a step of a plan is `items.N.text`.
fn visit<'a>(event: &'a Event, see: &mut dyn FnMut(&'a str)) {
    match event {
        Event::Text(event) => see(&event.text),
        Event::Reasoning(event) => see(&event.reasoning),
        Event::TextRetracted(event) => see(&event.text),
        Event::ToolCallDelta(event) => see(&event.args),
        Event::ToolCall(event) => see(event.args.get()),
        Event::ToolResult(event) => see(&event.output),
        Event::Plan(event) => event.items.iter().for_each(|item| see(&item.text)),
        Event::PermissionRequest(event) => see(event.args.get()),
        Event::Notice(event) => see(&event.text),
        Event::Unknown(event) => see(&event.line),
        Event::Result(event) => {
            see(&event.result);
            event.structured.iter().for_each(|value| see(value.get()));
        }
        _ => {}
    }
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
