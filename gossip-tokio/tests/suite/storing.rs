//! What a node finds again after a restart.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use gossip_core::{Event, Incarnation, Order, Record, Table};

use super::{builder, deliveries, ids, linked, poll_once, start, start_with, until, within};
use crate::adapter::storage::{Redb, Storage, Stored};
use crate::adapter::{Node, run};

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A disk that survives the node.
#[derive(Clone, Default)]
struct Memory {
    rows: Arc<Mutex<Rows>>,
}

impl Storage for Memory {
    fn load(&mut self) -> io::Result<Vec<Stored>> {
        let rows = self.rows.lock().expect("nobody panics with the lock");
        Ok(rows
            .iter()
            .map(|((table, key), value)| Stored { table: *table, key: key.clone(), value: value.clone() })
            .collect())
    }

    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let mut rows = self.rows.lock().expect("nobody panics with the lock");
        for record in records {
            let key = (record.table, record.key().to_vec());
            match record.value() {
                Some(value) => rows.insert(key, value.to_vec()),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }
}

/// Lets one write happen per message, and fails the first few.
struct Slow {
    memory: Memory,
    turns: Receiver<()>,
    failures: u32,
}

impl Storage for Slow {
    fn load(&mut self) -> io::Result<Vec<Stored>> {
        self.memory.load()
    }

    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        // Without a sender everything may be written.
        let _ = self.turns.recv();
        if self.failures > 0 {
            self.failures -= 1;
            return Err(io::Error::other("the disk is full"));
        }
        self.memory.write(records)
    }
}

async fn incarnation(node: &Node) -> Incarnation {
    node.read(|gossip| gossip.incarnation()).await.expect("the node lives")
}

/// Two lives of one node with one storage, beside a node that lives on.
async fn restart<S: Storage>(open: impl Fn() -> S) {
    let (a, _from_a) = start(1, &[]).await;
    let (b, mut from_b) = start_with(builder(2).storage(open()), &[a.local_addr()]).await;
    linked(&a, &[2]).await;
    for number in 0..10_u8 {
        a.submit(Order::Fifo, vec![number]).await.expect("there is room");
        b.submit(Order::Fifo, vec![number]).await.expect("there is room");
    }
    let first = ids(&deliveries(&mut from_b, 20).await);
    let life = incarnation(&b).await;
    within("the shutdown", b.shutdown()).await;
    drop((b, from_b));

    let (b, mut from_b) = start_with(builder(2).storage(open()), &[a.local_addr()]).await;
    assert!(incarnation(&b).await > life);
    let kept = b.read(|gossip| gossip.messages().map(|message| message.id).collect()).await;
    assert_eq!(kept.as_ref(), Ok(&first), "the stored messages are there again");
    let news = a.submit(Order::Fifo, "news").await.expect("there is room");
    let own = b.submit(Order::Fifo, "own").await.expect("there is room");
    assert!(!first.contains(&own));
    // Only these two come, so none of the first life came again before them.
    let second = ids(&deliveries(&mut from_b, 2).await);
    assert_eq!(second, [news, own].into());
    until(&a, "the own one at the other", move |gossip| gossip.get(own).is_some()).await;
}

#[test]
fn a_restart_with_memory_repeats_nothing() {
    run(async {
        let memory = Memory::default();
        restart(|| memory.clone()).await;
    });
}

#[test]
fn a_restart_with_a_file_repeats_nothing() {
    run(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        restart(|| Redb::open(folder.path().join("node.redb")).expect("the file opens")).await;
    });
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("node.redb");
    std::fs::write(&path, "a letter to the editor").expect("a file is written");
    assert!(Redb::open(&path).is_err());
}

/// A submit that is answered is on the disk, and one that waits for the disk holds up nothing else.
#[test]
fn a_submit_waits_for_the_disk() {
    run(async {
        let (turn, turns) = channel();
        let memory = Memory::default();
        let slow = Slow { memory: memory.clone(), turns, failures: 2 };
        let (a, mut events) = start_with(builder(1).storage(slow), &[]).await;
        let mut submit = pin!(a.submit(Order::Fifo, "hello"));
        assert_eq!(poll_once(submit.as_mut()).await, Poll::Pending);
        until(&a, "the core has it", |gossip| gossip.stats().submitted == 1).await;
        assert_eq!(poll_once(submit.as_mut()).await, Poll::Pending);
        assert_eq!(events.try_recv(), None, "a delivery waits for the disk, too");
        assert!(memory.rows.lock().expect("nobody panics with the lock").is_empty());
        drop(turn);
        let id = within("the disk", submit).await.expect("there is room");
        assert!(
            memory.rows.lock().expect("nobody panics with the lock").keys().any(|(table, _)| *table == Table::Messages)
        );
        let event = within("the delivery", events.recv()).await;
        assert!(matches!(event, Some(Event::Deliver(message)) if message.id == id));
    });
}
