//! Counters: what happened, and every way in which something was refused.

macro_rules! counters {
    ($(#[$outer:meta])* $name:ident { $($(#[doc = $doc:literal])+ $field:ident,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name { $($(#[doc = $doc])+ pub $field: u64,)* }

        impl $name {
            /// Every counter with its name, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    /// What a node has done and refused since it was made. Counters only rise; they wrap after 2⁶⁴.
    ///
    /// A peer cannot cause an error, a panic or a log line: what it does wrong is counted in one of the `refused_`
    /// counters, and has no other effect unless the counter says so.
    Stats {
        /// Datagrams handed to `handle_packet`.
        datagrams_received,
        /// Bytes of those datagrams.
        bytes_received,
        /// Datagrams composed by `poll_transmit`.
        datagrams_sent,
        /// Bytes of those datagrams.
        bytes_sent,
        /// Own messages accepted by `submit`.
        submitted,
        /// Chunks of own messages accepted by `submit` that go in several datagrams.
        chunks_submitted,
        /// Messages of others accepted into the store, each chunk counted.
        accepted,
        /// Chunks of larger messages, among `accepted`.
        chunks_accepted,
        /// Messages handed to the application.
        delivered,
        /// Those that were put together from chunks, among `delivered`.
        assembled,
        /// Message frames sent.
        data_sent,
        /// Message frames received.
        data_received,
        /// Message frames received of messages that were seen before.
        duplicates,
        /// Message frames sent because somebody lacked them (repair), among `data_sent`.
        repairs_sent,
        /// Messages asked for.
        pulls_sent,
        /// Copies of messages and registers that were not sent, as they never fit into a datagram for that link: they came
        /// from a node with a larger [`Config::mtu`](crate::Config::mtu), or the path is narrow (`too_long`). Who gets a
        /// message from nobody else is told of a gap.
        unsendable,
        /// Datagrams that the system refused as too long (`handle_too_long`): each makes those to its receiver shorter.
        too_long,
        /// Messages stored before and given up to make room, or too old.
        evicted,
        /// Messages of which chunks were missing, and that were dropped to be asked for again, as there was no room for all.
        expired,
        /// Messages that were declared as never to be delivered here, each chunk counted.
        gapped,
        /// Rows about an origin that was silent for the horizon, forgotten.
        origins_forgotten,
        /// Register changes of others applied.
        registers_applied,
        /// Waves of a tree sent, to each link counted.
        waves_sent,
        /// Parents in a tree changed.
        parents_changed,
        /// Frames that told a neighbor that it is no parent of this node, or that this is none of its.
        unparented,
        /// Messages sent to the root directly, among `data_sent`.
        injected,
        /// Digests of recent messages sent.
        digests_sent,
        /// Messages announced by alarm, to each link counted.
        announced,
        /// Messages asked for by name.
        fetches_sent,
        /// Links asked for rumors.
        inquiries_sent,
        /// Messages of which this node told who sent them that it had heard them.
        heard_sent,
        /// Rumors in which this node lost interest.
        cooled,
        /// Acknowledgements of copies sent.
        acks_sent,
        /// Copies sent again as they were not acknowledged, among `data_sent`.
        resent,
        /// Losses of received datagrams noticed, each run of them counted once.
        losses_seen,
        /// Links made.
        links_made,
        /// Links ended because their far end did not answer.
        links_lost,
        /// Exchanges of views begun.
        exchanges_begun,
        /// Exchanges of views answered in time.
        exchanges_answered,
        /// Exchanges of views not answered in time: the entry was dropped.
        exchanges_failed,
        /// Beats sent.
        beats_sent,
        /// Probes sent, over links and to others.
        probes_sent,
        /// Nodes that did not answer a burst of probes, while others were heard.
        suspicions,
        /// Times that this node found that it hears nobody.
        deafnesses,
        /// Questions sent about a suspected node.
        asks_sent,
        /// Answers received that a suspected node is heard.
        vouches,
        /// Answers received that a suspected node is not heard.
        denials,
        /// Deaths that this node has certified.
        certificates,
        /// Deaths of this node that it has refuted.
        refutations,
        /// Deaths of others that this node was told, and looked into before it believed them.
        accusations,
        /// Stateless answers to unknown senders.
        retries_sent,
        /// Inputs whose time was before that of an earlier input; they were taken as of the earlier time.
        time_went_back,
        /// Peers that were due for a datagram that nobody had anything for.
        empty_turns,
        /// Refused: shorter than a header.
        refused_short,
        /// Refused: another version of the wire format.
        refused_version,
        /// Refused: reserved header bits are set.
        refused_flags,
        /// Refused: another cluster.
        refused_cluster,
        /// Refused: a key that this node does not have.
        refused_key,
        /// Refused: the tag does not fit; corrupted, forged, meant for another node, or sealed with another key.
        refused_tag,
        /// Refused: a datagram number that was received before, or is too old to tell.
        refused_replay,
        /// Refused: the sender has this node's id.
        refused_own_id,
        /// Refused: an incarnation that was superseded by a later one.
        refused_stale,
        /// Refused: frames, other than a greeting, from somebody whose address is not proven. A stateless answer goes out.
        refused_stranger,
        /// Refused: a greeting whose cookie is wrong or too old.
        refused_cookie,
        /// Refused: a greeting for which no link is free.
        refused_full,
        /// Refused: a greeting by somebody who is no configured neighbor.
        refused_not_neighbor,
        /// Refused: a frame whose length or body does not parse.
        refused_frame,
        /// Skipped: a frame of a kind that this version does not know.
        unknown_frame,
        /// Refused: a frame beyond the work that one datagram may cause.
        refused_work,
        /// Refused: an answer to something that was not asked.
        refused_unasked,
        /// Refused: something for the root of a tree, by a stranger or for a root that this node is not, or no longer.
        refused_injected,
        /// Refused: a message older than the horizon.
        refused_old,
        /// Refused: a message of a new origin for which no row is free.
        refused_origin,
        /// Refused: a message too far ahead of the first one that is missing.
        refused_ahead,
        /// Refused: a message for which the store has no room.
        refused_store,
        /// Refused: a chunk of a message for which no room can be set aside now.
        refused_reassembly,
        /// Refused: a message of an order or form that this version does not know, or a chunk that contradicts others.
        refused_form,
        /// Refused: a message of the range of its origin that was last declared lost.
        refused_gapped,
        /// Refused: a message that claims to be from this node's present life, but is not its own.
        refused_forged,
        /// Refused: a register change for which there is no room, or whose owner is not known and finds no room among
        /// [`Limits::peers`](crate::Limits::peers).
        refused_register,
        /// Refused: a register change with a version that its owner has given to another key before.
        refused_reused_version,
    }
}
