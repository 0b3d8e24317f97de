//! JSON-RPC as ACP uses it: a message a line, both ways.

use crate::wire::lenient;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A message from the agent: a notification, a request, or the answer to one of ours.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) error: Option<RpcError>,
}

/// Which session a message is about.
#[derive(Debug, Deserialize)]
pub(super) struct SessionRef<'a> {
    #[serde(borrow, default, rename = "sessionId")]
    pub(super) session_id: Option<Cow<'a, str>>,
}

/// Why a request of ours was refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RpcError {
    #[serde(deserialize_with = "lenient")]
    pub(super) code: i64,
    #[serde(deserialize_with = "lenient")]
    pub(super) message: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) data: Value,
}

/// What belay writes.
#[derive(Debug, Serialize)]
pub(super) struct Say<'a, T> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Id<'a> {
    Ours(u32),
    Theirs(&'a RawValue),
}

impl<'a, T> Say<'a, T> {
    const NOTHING: Self =
        Self { jsonrpc: "2.0", id: None, method: None, params: None, result: None, error: None };

    pub(super) fn request(id: u32, method: &'static str, params: T) -> Self {
        Self { id: Some(Id::Ours(id)), ..Self::notify(method, params) }
    }

    pub(super) fn notify(method: &'static str, params: T) -> Self {
        Self { method: Some(method), params: Some(params), ..Self::NOTHING }
    }

    pub(super) fn answer(id: &'a RawValue, result: T) -> Self {
        Self { id: Some(Id::Theirs(id)), result: Some(result), ..Self::NOTHING }
    }
}

impl<'a> Say<'a, ()> {
    /// What belay does not offer.
    pub(super) fn no_such_method(id: &'a RawValue) -> Self {
        Self::refuse(id, -32601, "belay does not offer this")
    }

    /// What belay does not do, and why.
    pub(super) fn refuse(id: &'a RawValue, code: i32, why: &str) -> Self {
        let error = serde_json::json!({"code": code, "message": why});
        Self { id: Some(Id::Theirs(id)), error: Some(error), ..Self::NOTHING }
    }
}
