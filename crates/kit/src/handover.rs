//! Half-done work, told to whoever goes on with it.
//!
//! What an agent leaves behind when it fails is a changed folder and what was seen of its doings; the next one gets
//! both as text, marked as what it is: words of another program, which are no orders.

mod brief;
mod tree;
mod work;

pub(crate) use self::tree::Base;
pub(crate) use self::work::Work;
use belay_trace::FailureKind;

/// What an agent is told that goes on in its own session.
pub(crate) fn go_on(kind: FailureKind) -> String {
    format!(
        "Your last turn was cut off ({kind}) before it was done. Look at the state of the work first, since what \
         you did last may be half done or may not have taken effect, and then go on until the task is done."
    )
}
