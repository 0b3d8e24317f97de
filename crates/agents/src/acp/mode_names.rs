//! What the modes of an agent permit that nobody has measured, by what they are called.
//!
//! An agent says which modes it has when its session opens, and names them for people. The names here are those that
//! agents share; what another one permits is not known.

use crate::Permissions;
use Permissions::{Ask, Edit, Full, ReadOnly};

/// Names without what stands between their words, the likeliest first for each permission.
const NAMES: &[(&str, Permissions)] = &[
    ("readonly", ReadOnly),
    ("plan", ReadOnly),
    ("planning", ReadOnly),
    ("ask", Ask),
    ("alwaysask", Ask),
    ("manual", Ask),
    ("default", Ask),
    ("normal", Ask),
    ("acceptedits", Edit),
    ("autoacceptedits", Edit),
    ("autoedit", Edit),
    ("autoaccept", Edit),
    ("edit", Edit),
    ("workspacewrite", Edit),
    ("autoapprove", Full),
    ("bypasspermissions", Full),
    ("yolo", Full),
    ("fullaccess", Full),
    ("full", Full),
];

/// The names by which an agent says that it asks before everything. With belay, which then denies, such a mode changes
/// nothing; `default` and `normal` say less, and some agents run commands in them unasked.
const ASKS_ALWAYS: [&str; 3] = ["ask", "alwaysask", "manual"];

/// Returns what a mode with this id permits unasked, if its name says so.
pub(super) fn permits(id: &str) -> Option<Permissions> {
    let name = bare(id);
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, permits)| *permits)
}

/// Returns the mode among these in which an agent does what is permitted, and nothing beyond it unasked.
pub(super) fn choose<'a>(offered: &[&'a str], permissions: Permissions) -> Option<&'a str> {
    let names = NAMES.iter().filter(|(_, permits)| *permits == permissions).map(|(name, _)| *name);
    let stricter = if permissions == ReadOnly { &ASKS_ALWAYS[..] } else { &[] };
    let mut names = names.chain(stricter.iter().copied());
    names.find_map(|name| offered.iter().find(|id| bare(id) == name).copied())
}

/// A name as everyone means it: `acceptEdits`, `accept-edits` and `Accept Edits` are the same. Some ids are addresses.
fn bare(id: &str) -> String {
    let name = id.rsplit(['/', '#']).next().unwrap_or(id);
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_chosen_by_its_name_and_never_laxer_than_asked() {
        let vibe = ["ask", "accept-edits", "auto-approve"];
        let nanocoder = ["normal", "auto-accept", "yolo", "plan"];
        for (offered, permissions, want) in [
            (&vibe[..], ReadOnly, Some("ask")),
            (&vibe, Ask, Some("ask")),
            (&vibe, Edit, Some("accept-edits")),
            (&vibe, Full, Some("auto-approve")),
            (&nanocoder, ReadOnly, Some("plan")),
            (&nanocoder, Ask, Some("normal")),
            (&nanocoder, Edit, Some("auto-accept")),
            (&nanocoder, Full, Some("yolo")),
            (&["default", "acceptEdits"], ReadOnly, None),
            (&["default", "acceptEdits"], Edit, Some("acceptEdits")),
            (&["low", "medium", "high"], Edit, None),
            (&[], ReadOnly, None),
        ] {
            assert_eq!(choose(offered, permissions), want, "{offered:?} {permissions}");
        }
        assert_eq!(permits("https://agentclientprotocol.com/modes#yolo"), Some(Full));
    }
}
