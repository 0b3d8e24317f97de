//! Tool calls that Gemini CLI's stream does not show: of a tool that its mode does not offer it tells its model alone
//! that there is none (measured, 0.61.0). Its session file has the answer to the model, and not the arguments.

use super::witness;
use crate::wire::decode;
use crate::witness::{SilentLine, SilentReader};
use crate::{framing, lines};
use belay_trace::{Json, ToolCall, ToolId, ToolKind, ToolResult};
use jiff::Timestamp;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) const GEMINI: SilentReader =
    SilentReader { keep: lines, read, is_told: |_: ToolKind, _: &str| true };

#[derive(Deserialize)]
struct Line {
    timestamp: Timestamp,
    #[serde(rename = "type")]
    kind: String,
    content: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    function_response: Option<FunctionResponse>,
}

#[derive(Deserialize)]
struct FunctionResponse {
    id: String,
    name: String,
    #[serde(default)]
    response: Answer,
}

#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<String>,
}

/// The lines that tell the model of a tool's failure.
fn lines(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
    let word = memmem::Finder::new("\"functionResponse\"");
    let mut kept = Vec::new();
    let mut keep = |record: &RawValue| {
        let is_new = decode::<Line>(record.get()).is_some_and(|line| line.timestamp >= since);
        if is_new && !read(record.get()).is_empty() {
            kept.extend_from_slice(record.get().as_bytes());
            kept.push(b'\n');
        }
    };
    for line in lines.filter(|line| word.find(line).is_some()) {
        framing::decode_each(&lines::text(line), &mut keep);
    }
    kept
}

fn read(record: &str) -> Vec<SilentLine> {
    let line = decode::<Line>(record).filter(|line| line.kind == "user");
    let answers = line.into_iter().flat_map(|line| line.content);
    let answers = answers.filter_map(|part| part.function_response);
    let errors = answers.filter_map(|FunctionResponse { id, name, response }| {
        let (name, kind) = witness::sort(name);
        let tool_id = Some(ToolId(id));
        let call = ToolCall { tool_id: tool_id.clone(), name, args: Json::default(), kind };
        let output = response.error?;
        let result = ToolResult { tool_id, name: None, output, tool_error: true, exit_code: None };
        Some([SilentLine::Called(call), SilentLine::Returned { result, denied: false }])
    });
    errors.flatten().collect()
}
