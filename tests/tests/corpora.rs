//! Replays the committed corpora through the bodies of the fuzz targets.

use gossip_fuzz::replay_corpus;

#[test]
fn datagram() {
    assert!(replay_corpus("datagram", gossip_fuzz::datagram::run) > 0);
}

#[test]
fn frames() {
    assert!(replay_corpus("frames", gossip_fuzz::frames::run) > 0);
}

#[test]
fn inputs() {
    assert!(replay_corpus("inputs", gossip_fuzz::inputs::run) > 0);
}

#[test]
fn trio() {
    assert!(replay_corpus("trio", gossip_fuzz::trio::run) > 0);
}
