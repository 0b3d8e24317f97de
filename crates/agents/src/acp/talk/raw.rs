//! What of an update is wanted as it was written.

use crate::acp::tools::Beside;
use crate::wire::{decode, lenient};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The parts of a call that are wanted as they were written, of an update or of a request for a permission.
#[derive(Default, Deserialize)]
pub(super) struct Raw<'a> {
    #[serde(borrow, default)]
    update: Option<RawCall<'a>>,
    #[serde(borrow, default, rename = "toolCall")]
    tool_call: Option<RawCall<'a>>,
}

#[derive(Default, Deserialize)]
struct RawCall<'a> {
    #[serde(borrow, default, rename = "rawInput")]
    input: Option<&'a RawValue>,
    #[serde(default, rename = "_meta", deserialize_with = "lenient")]
    meta: CallMeta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CallMeta {
    #[serde(deserialize_with = "lenient")]
    tool_name: Option<String>,
}

impl<'a> Raw<'a> {
    pub(super) fn read(params: &'a RawValue) -> Self {
        decode(params.get()).unwrap_or_default()
    }

    pub(super) fn for_call(&self) -> Beside<'_> {
        let call = self.update.as_ref().or(self.tool_call.as_ref());
        Beside {
            input: call.and_then(|call| call.input),
            tool_name: call.and_then(|call| call.meta.tool_name.as_deref()),
        }
    }
}
