//! Is it alive: 0x20 to 0x3f.
//!
//! ```text
//! 0x20 Probe   number varint
//! 0x21 Ack     number varint
//! ```

use serde::{Deserialize, Serialize};

/// "Answer this."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Comes back in the [`Ack`].
    pub number: u32,
}

/// The answer to a [`Probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// That of the [`Probe`].
    pub number: u32,
}
