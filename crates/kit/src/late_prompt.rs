//! A prompt that is not whole when its run begins: the agent gets ready while something is still read.

use std::fmt;
use std::pin::Pin;

/// What the whole prompt will be, or why there is none.
pub(crate) struct LatePrompt(
    pub(crate) Pin<Box<dyn Future<Output = Result<String, String>> + Send>>,
);

impl fmt::Debug for LatePrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LatePrompt")
    }
}
