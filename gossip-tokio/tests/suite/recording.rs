//! A recorded run replays to the same outputs.

use std::io::ErrorKind;

use gossip_core::recording::{Ending, replay};
use gossip_core::{Order, Scope};

use super::{builder, deliveries, start, start_with, within};
use crate::adapter::run;

#[test]
fn a_recorded_run_replays() {
    run(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.gossip");
        let (a, mut from_a) = start_with(builder(1).record(&path, 1 << 24), &[]).await;
        let (b, _from_b) = start(2, &[a.local_addr()]).await;
        for number in 0..20_u8 {
            a.submit(Order::Fifo, vec![number]).await.expect("there is room");
            b.submit(Order::Unordered, vec![number; 500]).await.expect("there is room");
            a.set(Scope::Own, "number", vec![number]).await.expect("there is room");
        }
        deliveries(&mut from_a, 40).await;
        let stats = a.read(gossip_core::Gossip::stats).await.expect("the node lives");
        within("the shutdown", a.shutdown()).await;

        let replayed = replay(&std::fs::read(&path).expect("the recording is there")).expect("it was just recorded");
        assert_eq!(replayed.first_difference, None);
        assert_eq!(replayed.ending, Ending::Whole);
        assert!(replayed.outputs >= 40);
        let again = replayed.gossip.stats();
        assert_eq!(again.submitted, 20);
        assert_eq!(again.delivered, 40);
        assert!(again.datagrams_received >= stats.datagrams_received);
    });
}

#[test]
fn a_recording_stays_below_its_bound() {
    run(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.gossip");
        let (a, mut events) = start_with(builder(1).record(&path, 4_000), &[]).await;
        for _ in 0..20 {
            a.submit(Order::Fifo, vec![0; 500]).await.expect("there is room");
        }
        assert_eq!(deliveries(&mut events, 20).await.len(), 20);
        within("the shutdown", a.shutdown()).await;
        let recording = std::fs::read(&path).expect("the recording is there");
        assert!(recording.len() <= 4_000);
        let replayed = replay(&recording).expect("it was just recorded");
        assert_eq!(replayed.ending, Ending::Bound);
        assert!(replayed.matches());
    });
}

#[test]
fn a_recording_is_private_and_overwrites_nothing() {
    run(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.gossip");
        let small = builder(1).record(&path, 10).spawn().await.map(|_| ()).map_err(|error| error.kind());
        assert_eq!(small, Err(ErrorKind::InvalidInput), "not even the head fits");
        assert!(!path.exists());
        let (a, _events) = start_with(builder(1).record(&path, 4_000), &[]).await;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("the file is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let twice = builder(2).record(&path, 4_000).spawn().await.map(|_| ()).map_err(|error| error.kind());
        assert_eq!(twice, Err(ErrorKind::AlreadyExists));
        a.shutdown().await;
    });
}
