//! The trace tree, in the JSON shape of the seed's `trace.Node`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One node of a trace tree.
///
/// The first ten fields are the seed's, with its names and its omit-if-empty rules. They are plain numbers
/// there, so an unknown cost or count is written as 0; `cost_source` says when that is the case. All figures
/// are the node's own: a viewer sums them up. The fields after `children` are ours, all optional, and ignored
/// by readers that do not know them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Node {
    /// Unique within the tree; eight characters, except the root's, which is the trace id.
    pub id: String,
    /// What the node stands for.
    pub node_type: NodeType,
    /// The name of the agent, phase or tool.
    pub agent_name: String,
    /// The model, if one ran.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Milliseconds from begin to end.
    pub duration_ms: i64,
    /// Own cost in US dollars.
    pub cost_usd: f64,
    /// Input tokens outside the prompt cache.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// The model's context window in tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub context_window: i64,
    /// Children, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub children: Vec<Self>,

    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// How it stands; nothing if it has ended well, or if its writer does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
    /// The run that a phase's figures come from; of a root, the run that made the trace because nobody had started
    /// it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// Where the cost comes from; `unknown` means that the 0 in `cost_usd` is no figure. Traces of older versions
    /// leave it out where the agent has reported the cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_source: Option<crate::CostSource>,
    /// Input tokens read from the prompt cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read_tokens: i64,
    /// Input tokens written to the prompt cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_tokens: i64,
    /// Tokens in the model's context at the end.
    #[serde(skip_serializing_if = "is_zero")]
    pub context_used: i64,
    /// The agent's id of a tool call.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tool_call_id: String,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The attempts of a phase that took more than one, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<crate::AttemptSummary>,
    /// What people call the trace, if that is not its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// What whoever has started the trace says of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "object_or_empty")]
    pub attributes: BTreeMap<String, Value>,
}

/// What a [`Node`] stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeType {
    /// The root.
    #[default]
    Trace,
    /// A named part of the work.
    Phase,
    /// The boundary before a phase.
    Marker,
    /// One tool call.
    ToolCall,
    /// A type of another writer; kept as it is.
    #[serde(untagged)]
    Other(String),
}

/// How a [`Node`] stands that has not ended well, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// It has begun, and nobody has written its end. Whether somebody is still at work on it says
    /// [`dead_runs`](crate::dead_runs).
    Running,
    /// It has ended with an error.
    Failed,
    /// Somebody has stopped it.
    Interrupted,
    /// Whoever ran it was killed, and could not say how it ended.
    Killed,
    /// A status of another writer; kept as it is.
    #[serde(untagged)]
    Other(String),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Go writes `null` for a slice that is nil where it does not omit it.
fn null_as_empty<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<Node>, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// What another writer calls attributes may be something else, which is none of ours and no reason to refuse a tree.
fn object_or_empty<'de, D: serde::Deserializer<'de>>(
    input: D,
) -> Result<BTreeMap<String, Value>, D::Error> {
    Ok(match Value::deserialize(input)? {
        Value::Object(object) => object.into_iter().collect(),
        _ => BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_node_has_the_seeds_fields_and_no_other() {
        let node = Node { id: "a1".into(), agent_name: "x".into(), ..Node::default() };
        assert_eq!(
            serde_json::to_string(&node).unwrap(),
            r#"{"id":"a1","node_type":"trace","agent_name":"x","duration_ms":0,"cost_usd":0.0,"input_tokens":0,"output_tokens":0}"#
        );
    }

    #[test]
    fn a_node_of_the_go_program_is_read_and_its_unknown_type_kept() {
        let text = r#"{"id":"r","node_type":"agent","agent_name":"s","model":"opus","duration_ms":5,
            "cost_usd":0.5,"input_tokens":1,"output_tokens":2,"context_window":200000,"children":null,"new":1}"#;
        let node: Node = serde_json::from_str(text).unwrap();
        assert_eq!(node.node_type, NodeType::Other("agent".into()));
        assert_eq!((node.context_window, node.children.len()), (200_000, 0));
    }

    #[test]
    fn a_status_and_attributes_of_another_writer_are_no_reason_to_refuse_a_tree() {
        let text =
            r#"{"id":"r","status":"paused","attributes":[1],"children":[{"status":"killed"}]}"#;
        let node: Node = serde_json::from_str(text).unwrap();
        assert_eq!(node.status, Some(NodeStatus::Other("paused".into())));
        assert_eq!(node.children[0].status, Some(NodeStatus::Killed));
        assert!(node.attributes.is_empty());
    }
}
