//! What happens in a run, one line each, for whoever looks into a crash: `TRACE=1 cargo run -p gossip-fuzz --bin inputs
//! -- FILE` prints it to standard error.

use std::sync::LazyLock;

use gossip_core::auth::Opened;
use gossip_core::wire::{Frame, Frames};
use gossip_core::{Gossip, Input, Instant};

use crate::forge::Forger;
use crate::frames::describe;
use crate::laws::Outputs;

static ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os("TRACE").is_some());

/// An input, with the frames of a genuine datagram.
pub fn input(node: &Gossip, now: Instant, input: &Input<'_>) {
    if !*ON {
        return;
    }
    let Input::Packet { from, datagram } = input else {
        return eprintln!("{now} {} <- {input:?}", node.id());
    };
    eprintln!("{now} {} <- {} bytes from {from}", node.id(), datagram.len());
    let Some((header, body)) = Forger::new(node.config()).open(node.id(), datagram) else {
        return eprintln!("    not genuine");
    };
    for (kind, body) in Frames::new(Opened::forged(&body)).flatten() {
        let frame = Frame::parse(kind, body).map(|frame| describe(&frame));
        eprintln!("    {}#{:x} {kind:x?} {frame:?}", header.sender, header.number);
    }
}

/// What the application is told, and what is to be stored. Datagrams are seen when they arrive.
pub fn outputs(outputs: &Outputs) {
    if *ON {
        for event in &outputs.events {
            eprintln!("    -> {event:?}");
        }
        for record in &outputs.records {
            eprintln!("    -> {record:?}");
        }
    }
}
