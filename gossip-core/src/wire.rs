//! Placeholder.
pub(crate) const HEADER_LEN: usize = 48;
