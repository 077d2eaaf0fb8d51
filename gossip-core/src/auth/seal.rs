//! The tag of a datagram, and its encryption.
//!
//! Sealed, a datagram is XChaCha20-Poly1305 with the nonce sender ‖ incarnation ‖ number, taken in two steps: the first
//! two make a [`Subkey`], which is kept per peer, and the last one is the nonce of ChaCha20-Poly1305 under it. An
//! incarnation never comes back and a number never repeats within it, so no nonce is ever used twice, even if a clock
//! is set back (draft-irtf-cfrg-xchacha-03 for the construction; RFC 8439 for the cipher).
//!
//! What the tag vouches for besides the frames: the header up to the tag, and the id of the receiver. The latter is not
//! sent, so a datagram that was recorded on one link is worthless at another node.

use core::fmt;
use core::hash::Hasher;

use chacha20::R20;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use siphasher::sip::SipHasher24;

use super::{Opened, Reject, Security};
use crate::ids::{Incarnation, NodeId};
use crate::wire::{HEADER_LEN, Header, VOUCHED_LEN};

/// Makes and checks tags, with the cluster's secret or with its name.
#[derive(Clone)]
pub struct Auth {
    mode: Mode,
    /// 32 bits of a hash of the cluster's name: tells strays apart before anything costly.
    cluster: u32,
}

#[derive(Clone)]
enum Mode {
    Plain { key: (u64, u64) },
    Sealed { key_id: u8, key: [u8; 32] },
}

/// What one sender uses in one incarnation; to be kept per peer. Meaningless, and free, in plain mode.
#[derive(Clone, PartialEq, Eq)]
pub struct Subkey([u8; 32]);

/// What the sender writes on the outside of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who sends.
    pub sender: NodeId,
    /// In which life.
    pub incarnation: Incarnation,
    /// Made by [`datagram_number`](crate::wire::datagram_number); not 0, and not used before in this incarnation.
    pub number: u64,
    /// For whom; `None` where the sender does not know who lives at the address.
    pub to: Option<NodeId>,
}

impl Auth {
    /// For a cluster of this name.
    pub fn new(security: &Security, cluster: &str) -> Self {
        let mode = match *security {
            Security::Plain => Mode::Plain { key: (name_hash(cluster, 0), name_hash(cluster, 1)) },
            Security::Sealed { key_id, key } => Mode::Sealed { key_id, key },
        };
        Self { mode, cluster: name_hash(cluster, 2) as u32 }
    }

    /// A number that all nodes with the same key and cluster name share, for hashes that are compared.
    pub fn root_key(&self) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(u64::from(self.cluster), 3);
        if let Mode::Sealed { key, .. } = &self.mode {
            hasher.write(key);
        }
        hasher.finish()
    }

    /// The key of one sender in one incarnation. Costs as much as the encryption of 64 bytes.
    pub fn subkey(&self, sender: NodeId, incarnation: Incarnation) -> Subkey {
        let Mode::Sealed { key, .. } = &self.mode else { return Subkey([0; 32]) };
        let mut input = [0; 16];
        input[..8].copy_from_slice(&sender.0.to_le_bytes());
        input[8..].copy_from_slice(&incarnation.0.to_le_bytes());
        Subkey(chacha20::hchacha::<R20>(&(*key).into(), &input.into()).into())
    }

    /// Writes the header and the tag in front of the frames, and encrypts these in sealed mode.
    ///
    /// `datagram` is the room for the header and the frames behind it; `subkey` is that of the sender.
    ///
    /// # Panics
    ///
    /// If `datagram` has no room for the header.
    pub fn seal(&self, subkey: &Subkey, envelope: &Envelope, datagram: &mut [u8]) {
        debug_assert!(envelope.number != 0, "the replay window takes 0 for seen");
        let (head, body) = datagram.split_first_chunk_mut::<HEADER_LEN>().expect("the caller leaves room for a header");
        let mut header = Header {
            key_id: self.key_id(),
            open: envelope.to.is_none(),
            cluster: self.cluster,
            sender: envelope.sender,
            incarnation: envelope.incarnation,
            number: envelope.number,
            tag: [0; 16],
        };
        header.emit(head);
        let vouched = vouched(head, envelope.to);
        header.tag = match &self.mode {
            Mode::Plain { key } => plain_tag(*key, &vouched, body),
            Mode::Sealed { .. } => cipher(subkey)
                .encrypt_inout_detached(&nonce(envelope.number), &vouched, InOutBuf::from(body))
                .expect("a datagram is far shorter than the 256 GiB that ChaCha20 can encrypt")
                .into(),
        };
        header.emit(head);
    }

    /// What can be said without a key: a few comparisons.
    ///
    /// # Errors
    ///
    /// [`Reject::KeyId`] or [`Reject::Cluster`].
    pub fn check(&self, header: &Header) -> Result<(), Reject> {
        if header.key_id != self.key_id() {
            return Err(Reject::KeyId);
        }
        if header.cluster != self.cluster {
            return Err(Reject::Cluster);
        }
        Ok(())
    }

    /// Checks the tag, and decrypts the frames in place.
    ///
    /// `header` is what [`Header::parse`] made of this datagram, `subkey` that of its sender, `me` the id of this node.
    /// Does what [`Auth::check`] does once more, so that it cannot be forgotten.
    ///
    /// # Errors
    ///
    /// The datagram is not genuine, or not for this node. Its bytes are then unspecified.
    pub fn open<'d>(
        &self,
        subkey: &Subkey,
        me: NodeId,
        header: &Header,
        datagram: &'d mut [u8],
    ) -> Result<Opened<'d>, Reject> {
        self.check(header)?;
        let (head, body) = datagram.split_first_chunk_mut::<HEADER_LEN>().ok_or(Reject::TooShort)?;
        let vouched = vouched(head, if header.open { None } else { Some(me) });
        match &self.mode {
            Mode::Plain { key } => {
                if plain_tag(*key, &vouched, body) != header.tag {
                    return Err(Reject::Tag);
                }
            }
            Mode::Sealed { .. } => cipher(subkey)
                .decrypt_inout_detached(&nonce(header.number), &vouched, InOutBuf::from(&mut *body), &header.tag.into())
                .map_err(|_| Reject::Tag)?,
        }
        Ok(Opened { body })
    }

    const fn key_id(&self) -> u8 {
        match self.mode {
            Mode::Plain { .. } => 0,
            Mode::Sealed { key_id, .. } => key_id,
        }
    }
}

/// Does not print the key.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// Does not print the key.
impl fmt::Debug for Subkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subkey(..)")
    }
}

fn cipher(subkey: &Subkey) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&subkey.0.into())
}

/// Four zero bytes and the number, as XChaCha has it.
fn nonce(number: u64) -> chacha20poly1305::Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    nonce.into()
}

/// The header up to the tag, and the receiver: 0 for anyone, which the flag in the header tells from node 0.
fn vouched(head: &[u8; HEADER_LEN], to: Option<NodeId>) -> [u8; VOUCHED_LEN + 8] {
    let mut vouched = [0; VOUCHED_LEN + 8];
    vouched[..VOUCHED_LEN].copy_from_slice(&head[..VOUCHED_LEN]);
    vouched[VOUCHED_LEN..].copy_from_slice(&to.map_or(0, |id| id.0).to_le_bytes());
    vouched
}

/// The check of plain mode: SipHash-2-4 in the first half of the tag, zeros in the second.
fn plain_tag(key: (u64, u64), vouched: &[u8], body: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
    hasher.write(vouched);
    hasher.write(body);
    let mut tag = [0; 16];
    tag[..8].copy_from_slice(&hasher.finish().to_le_bytes());
    tag
}

/// Numbers made from the cluster's name: 0 and 1 are the key of plain mode, 2 is the check in the header.
fn name_hash(cluster: &str, purpose: u64) -> u64 {
    // "gossipcl", as node ids made from names use "gossipid".
    let mut hasher = SipHasher24::new_with_keys(0x676f_7373_6970_636c, purpose);
    hasher.write(cluster.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20poly1305::XChaCha20Poly1305;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::format;
    use std::vec::Vec;

    const ENVELOPE: Envelope =
        Envelope { sender: NodeId(1), incarnation: Incarnation(2), number: 3, to: Some(NodeId(4)) };

    fn sealed(key_id: u8) -> Security {
        Security::Sealed { key_id, key: [7; 32] }
    }

    fn seal(auth: &Auth, envelope: &Envelope, body: &[u8]) -> Vec<u8> {
        let mut datagram = [&[0xee; HEADER_LEN], body].concat();
        auth.seal(&auth.subkey(envelope.sender, envelope.incarnation), envelope, &mut datagram);
        datagram
    }

    /// The way of an arriving datagram.
    fn open(auth: &Auth, me: NodeId, datagram: &[u8]) -> Result<Vec<u8>, Reject> {
        let mut datagram = datagram.to_vec();
        let header = Header::parse(&datagram)?;
        auth.check(&header)?;
        let subkey = auth.subkey(header.sender, header.incarnation);
        auth.open(&subkey, me, &header, &mut datagram).map(|opened| opened.body().to_vec())
    }

    proptest! {
        #[test]
        fn the_receiver_reads_what_was_sealed(
            key: Option<(u8, [u8; 32])>,
            (sender, incarnation, number, to) in (any::<u64>(), any::<u64>(), 1_u64.., any::<Option<u64>>()),
            me: u64,
            body in vec(any::<u8>(), 0..200),
        ) {
            let security = key.map_or(Security::Plain, |(key_id, key)| Security::Sealed { key_id, key });
            let auth = Auth::new(&security, "cluster");
            let (sender, incarnation, to) = (NodeId(sender), Incarnation(incarnation), to.map(NodeId));
            let datagram = seal(&auth, &Envelope { sender, incarnation, number, to }, &body);
            prop_assert_eq!(open(&auth, to.unwrap_or(NodeId(me)), &datagram), Ok(body));
            let header = Header::parse(&datagram).expect("just written");
            prop_assert_eq!((header.sender, header.incarnation), (sender, incarnation));
            prop_assert_eq!((header.number, header.open), (number, to.is_none()));
        }

        #[test]
        fn any_bytes_are_refused(me: u64, datagram in vec(any::<u8>(), 0..200)) {
            for security in [Security::Plain, sealed(1)] {
                prop_assert!(open(&Auth::new(&security, "cluster"), NodeId(me), &datagram).is_err());
            }
        }

        #[test]
        fn in_two_steps_it_is_xchacha(
            key: [u8; 32],
            (sender, incarnation, number, to) in (any::<u64>(), any::<u64>(), 1_u64.., any::<u64>()),
            body in vec(any::<u8>(), 0..200),
        ) {
            let envelope =
                Envelope { sender: NodeId(sender), incarnation: Incarnation(incarnation), number, to: Some(NodeId(to)) };
            let datagram = seal(&Auth::new(&Security::Sealed { key_id: 1, key }, "cluster"), &envelope, &body);
            let (head, sealed_body) = datagram.split_at(HEADER_LEN);

            let mut nonce = [0; 24];
            for (part, value) in nonce.as_chunks_mut::<8>().0.iter_mut().zip([sender, incarnation, number]) {
                *part = value.to_le_bytes();
            }
            let vouched = [&head[..VOUCHED_LEN], &to.to_le_bytes()].concat();
            let mut expected = body;
            let tag = XChaCha20Poly1305::new(&key.into())
                .encrypt_inout_detached(&nonce.into(), &vouched, InOutBuf::from(&mut expected[..]))
                .expect("short enough");
            prop_assert_eq!(&head[VOUCHED_LEN..], &tag[..]);
            prop_assert_eq!(sealed_body, &expected[..]);
        }
    }

    #[test]
    fn no_bit_can_be_changed() {
        for security in [Security::Plain, sealed(1)] {
            for to in [Some(NodeId(4)), None] {
                let auth = Auth::new(&security, "cluster");
                let datagram = seal(&auth, &Envelope { to, ..ENVELOPE }, b"frames");
                assert_eq!(open(&auth, NodeId(4), &datagram), Ok(b"frames".to_vec()));
                for bit in 0..datagram.len() * 8 {
                    let mut changed = datagram.clone();
                    changed[bit / 8] ^= 1 << (bit % 8);
                    assert!(open(&auth, NodeId(4), &changed).is_err(), "{security:?}, bit {bit}");
                }
                for len in 0..datagram.len() {
                    assert!(open(&auth, NodeId(4), &datagram[..len]).is_err(), "{security:?}, length {len}");
                }
            }
        }
    }

    #[test]
    fn a_datagram_is_for_one_node_or_for_anyone() {
        for security in [Security::Plain, sealed(1)] {
            let auth = Auth::new(&security, "cluster");
            for other in [0, 5] {
                assert_eq!(open(&auth, NodeId(other), &seal(&auth, &ENVELOPE, b"frames")), Err(Reject::Tag));
                let to_anyone = seal(&auth, &Envelope { to: None, ..ENVELOPE }, b"frames");
                assert_eq!(open(&auth, NodeId(other), &to_anyone), Ok(b"frames".to_vec()));
            }
        }
    }

    #[test]
    fn strays_are_told_by_name() {
        let plain = seal(&Auth::new(&Security::Plain, "cluster"), &ENVELOPE, b"frames");
        let open = |security: &Security, cluster| open(&Auth::new(security, cluster), NodeId(4), &plain);
        assert_eq!(open(&Security::Plain, "another"), Err(Reject::Cluster));
        assert_eq!(open(&sealed(1), "cluster"), Err(Reject::KeyId));
        assert_eq!(open(&sealed(0), "cluster"), Err(Reject::Tag));
    }

    #[test]
    fn a_forgotten_check_is_made_up_for() {
        let [ours, theirs] = ["ours", "theirs"].map(|cluster| Auth::new(&sealed(1), cluster));
        let mut datagram = seal(&theirs, &ENVELOPE, b"frames");
        let header = Header::parse(&datagram).expect("just written");
        let subkey = ours.subkey(ENVELOPE.sender, ENVELOPE.incarnation);
        assert_eq!(ours.open(&subkey, NodeId(4), &header, &mut datagram), Err(Reject::Cluster));
    }

    #[test]
    fn secrets_are_not_printed() {
        let auth = Auth::new(&sealed(1), "cluster");
        let subkey = auth.subkey(NodeId(1), Incarnation(2));
        assert_eq!(format!("{:?}", sealed(9)), "Sealed { key_id: 9, .. }");
        assert_eq!(format!("{subkey:?}"), "Subkey(..)");
        assert_eq!(format!("{auth:?}"), format!("Auth {{ cluster: {}, .. }}", auth.cluster));
    }
}
