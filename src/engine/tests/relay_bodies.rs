//! A backlog of large messages: their bodies are read to be sent, and for nothing else.

use std::cell::Cell;

use super::*;
use crate::core::relay::{Attempt, RelayPolicy};
use crate::engine::packed::{pack, unpack};
use crate::store::Row;

/// What twelve messages of a megabyte may cost where nobody sends them, in bytes.
const HEADS_MAX_BYTES: usize = 64 * 1024;

/// Counts the bytes it is asked for.
struct Counting<'v> {
    view: &'v dyn View,
    bytes: Cell<usize>,
}

impl Counting<'_> {
    fn of(view: &dyn View) -> Counting<'_> {
        Counting { view, bytes: Cell::new(0) }
    }

    fn count(&self, rows: &[Row]) {
        self.bytes.set(self.bytes.get() + rows.iter().map(|(key, row)| key.len() + row.len()).sum::<usize>());
    }
}

impl View for Counting<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let row = self.view.get(table, key)?;
        self.bytes.set(self.bytes.get() + row.as_ref().map_or(0, Vec::len));
        Ok(row)
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Fault> {
        let rows = self.view.range(table, from, to, limit)?;
        self.count(&rows);
        Ok(rows)
    }

    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Row>, Fault> {
        let row = self.view.last(table, from, to)?;
        self.count(row.as_slice());
        Ok(row)
    }
}

fn nvp() -> MerchantName {
    MerchantName::new("nvp").expect("a name")
}

/// A message of a megabyte that nobody can read, so that each stands for itself.
fn large(n: usize) -> Vec<u8> {
    format!("<nobody{n}/>{}", " ".repeat(1_000_000)).into_bytes()
}

/// Twelve large messages wait; the shop answered none of them.
fn backlog(rule: RelayPolicy) -> World {
    let mut world = World::new();
    world.engine.policy.relays.insert(nvp(), rule);
    world.turn(|e, d, now| e.started(d, now));
    for n in 0..12 {
        let incoming = Incoming { merchant: nvp(), body: large(n), content_type: None, way: "http" };
        world.turn(|e, d, now| e.receive(d, incoming, now));
        world.turn(|e, d, now| e.judge(d, 100, now));
    }
    let due = world.engine.relays_due(&world.store, &nvp(), world.now, 100, &|_| false).expect("no fault");
    let absent = || Attempt::Unreachable { why: "connection refused".into() };
    for message in due {
        world.turn(|e, d, now| e.relayed(d, &nvp(), message.number, absent(), now));
    }
    assert_eq!(world.waiting_bytes(), (0..12).map(|n| large(n).len() as u64).sum::<u64>());
    world
}

impl World {
    /// Bytes that wait, as `status` tells.
    fn waiting_bytes(&self) -> u64 {
        let status = self.engine.relay_status(&self.store).expect("no fault");
        status[0]["bytes"].as_u64().expect("a number")
    }

    /// Bytes that a step reads and writes.
    fn cost(&self, act: impl FnOnce(&Engine, &mut Draft, Now) -> Result<(), Fault>) -> (usize, usize) {
        let counting = Counting::of(&self.store);
        let mut draft = Draft::new(&counting).expect("a draft");
        act(&self.engine, &mut draft, self.now).expect("no fault");
        let written = draft.into_commit().changes.into_values().flatten().map(|row| row.len()).sum();
        (counting.bytes.get(), written)
    }
}

#[test]
fn a_backlog_of_large_messages_is_listed_brought_forward_and_watched_without_their_bodies() {
    let mut world = backlog(RelayPolicy::default());
    let listed = Counting::of(&world.store);
    let page = world.engine.relays(&listed, &nvp(), 0, 500, world.now).expect("no fault");
    assert_eq!((page.items.len(), page.items[3]["bytes"].as_u64()), (12, Some(large(3).len() as u64)));
    assert!(listed.bytes.get() < HEADS_MAX_BYTES, "listing read {} bytes", listed.bytes.get());

    let (read, written) = world.cost(|e, d, now| {
        assert_eq!(e.retry_relays(d, &nvp(), 1_000, now)?, 12);
        Ok(())
    });
    assert!(read < HEADS_MAX_BYTES && written < HEADS_MAX_BYTES, "a retry read {read} and wrote {written} bytes");

    world.pass(days(2));
    world.turn(|e, d, now| e.tick(d, now));
    let (read, written) = world.cost(|e, d, now| e.tick_relays(d, now));
    assert!(read < HEADS_MAX_BYTES && written < HEADS_MAX_BYTES, "a tick read {read} and wrote {written} bytes");
    assert_eq!(world.firing().len(), 1, "the shop is not there: {:?}", world.firing());
    world.prove();
}

#[test]
fn old_messages_are_given_up_with_their_bodies_and_without_reading_them() {
    let mut world = backlog(RelayPolicy { give_up_after: Some(days(1)), ..RelayPolicy::default() });
    world.pass(days(2));
    let (read, written) = world.cost(|e, d, now| e.tick_relays(d, now));
    assert!(read < HEADS_MAX_BYTES && written < HEADS_MAX_BYTES, "a tick read {read} and wrote {written} bytes");
    world.turn(|e, d, now| e.tick(d, now));
    for table in [Table::Relay, Table::RelayBodies, Table::RelayDue, Table::RelayLines] {
        assert!(world.store.range(table, &[], &[], 9).expect("rows").is_empty(), "{table:?}");
    }
    world.prove();
}

#[test]
fn what_is_sent_after_all_is_the_message_byte_for_byte() {
    let mut world = backlog(RelayPolicy::default());
    world.turn(|e, d, now| e.retry_relays(d, &nvp(), 1_000, now));
    let due = world.engine.relays_due(&world.store, &nvp(), world.now, 100, &|_| false).expect("no fault");
    assert!(due.iter().enumerate().all(|(n, message)| message.body == large(n)));
    for message in due {
        let taken = Attempt::Accepted { http_status: 200, ok_token: None };
        world.turn(|e, d, now| e.relayed(d, &nvp(), message.number, taken, now));
    }
    assert!(world.store.range(Table::RelayBodies, &[], &[], 9).expect("rows").is_empty());
    assert!(world.engine.relay_status(&world.store).expect("no fault").is_empty());
    world.prove();
}

#[test]
fn a_message_kept_by_an_earlier_version_with_its_body_in_its_row_is_passed_on() {
    let mut world = backlog(RelayPolicy::default());
    let (key, row) = world.store.range(Table::Relay, &[], &[], 1).expect("rows").remove(0);
    world.turn(|_, d, _| {
        let (mut head, _): (Value, _) = unpack(Table::Relay, &key, &row)?;
        head.as_object_mut().expect("an object").remove("bytes");
        d.put(Table::Relay, key.clone(), pack(&head, &large(0))?);
        d.delete(Table::RelayBodies, key);
        Ok(())
    });
    world.turn(|e, d, now| e.retry_relays(d, &nvp(), 1_000, now));
    let due = world.engine.relays_due(&world.store, &nvp(), world.now, 1, &|_| false).expect("no fault").remove(0);
    assert!(due.body == large(0));
    let page = world.engine.relays(&world.store, &nvp(), 0, 500, world.now).expect("no fault");
    assert_eq!(page.items[0]["bytes"].as_u64(), Some(large(0).len() as u64));
    assert!(world.turn(|e, d, now| e.give_up_relay(d, &nvp(), due.number, now)));
    assert_eq!(world.waiting_bytes(), (1..12).map(|n| large(n).len() as u64).sum::<u64>());
    world.prove();
}

#[test]
fn a_waiting_message_whose_body_is_gone_is_damage_and_never_sent_empty() {
    let mut world = backlog(RelayPolicy::default());
    let (key, _) = world.store.range(Table::Relay, &[], &[], 1).expect("rows").remove(0);
    world.turn(|e, d, now| {
        d.delete(Table::RelayBodies, key);
        e.retry_relays(d, &nvp(), 1_000, now)
    });
    assert!(world.engine.relays_due(&world.store, &nvp(), world.now, 1, &|_| false).is_err());
}
