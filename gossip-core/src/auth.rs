//! How datagrams are protected.

/// How datagrams are protected.
#[derive(Clone)]
#[non_exhaustive]
pub enum Security {
    /// A keyed check against corruption; no protection against forgery.
    Plain,
    /// ChaCha20-Poly1305 with one key shared by the cluster.
    Sealed {
        /// Tells keys apart on the wire.
        key_id: u8,
        /// The secret.
        key: [u8; 32],
    },
}

impl core::fmt::Debug for Security {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Security")
    }
}
