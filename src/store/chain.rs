//! The journal's hash chain: a record cannot be changed, dropped, added or moved without breaking it.
//!
//! A journal value is the record's hash, then its body:
//!
//! ```text
//! | SHA-256(previous hash, sequence, body): 32 bytes | body |
//! ```
//!
//! The chain proves order and completeness against accidents and careless hands. Against a person who
//! can write the whole file it proves something only together with a head kept elsewhere: the nightly
//! report prints it.

use sha2::{Digest, Sha256};

use super::{Fault, Table, View};

pub const HASH_BYTES: usize = 32;

pub type Hash = [u8; HASH_BYTES];

/// How many records one reading of the chain holds in memory at a time.
const PAGE_RECORDS: usize = 256;

/// Where the chain stands behind its last record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Of the last record; 0 for an empty journal.
    pub sequence: u64,
    pub hash: Hash,
}

impl Head {
    /// The head of an empty journal.
    pub const EMPTY: Head = Head { sequence: 0, hash: [0; HASH_BYTES] };

    /// The head a view stands at, as its last record claims. Reads one record, proves nothing.
    pub fn of(view: &dyn View) -> Result<Head, Fault> {
        let Some((key, value)) = view.last(Table::Journal, &[], &[])? else { return Ok(Head::EMPTY) };
        let (hash, _) = open(&key, &value)?;
        Ok(Head { sequence: sequence(&key)?, hash })
    }

    /// The hash in lower-case hex, as reports print it.
    pub fn hex(&self) -> String {
        self.hash.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// A record sealed behind `previous`, which had the number before `sequence`.
pub fn seal(previous: &Hash, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HASH_BYTES + body.len());
    sealed.extend_from_slice(&link(previous, sequence, body));
    sealed.extend_from_slice(body);
    sealed
}

/// A journal value's hash and body. `key` is only for the message.
pub fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<(Hash, &'a [u8]), Fault> {
    match value.split_first_chunk::<HASH_BYTES>() {
        Some((hash, body)) => Ok((*hash, body)),
        None => Err(Fault::damaged(Table::Journal, key, "it is shorter than its hash")),
    }
}

/// The sequence number a journal key stands for.
pub fn sequence(key: &[u8]) -> Result<u64, Fault> {
    let bytes = key.try_into().map_err(|_| Fault::damaged(Table::Journal, key, "the key is not a sequence number"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Follows the chain from `from` to the journal's end, or the first break.
pub fn verify(view: &dyn View, from: Head) -> Result<Head, Fault> {
    let mut head = from;
    loop {
        let page = view.range(Table::Journal, &(head.sequence + 1).to_be_bytes(), &[], PAGE_RECORDS)?;
        for (key, value) in &page {
            head = follow(head, key, value)?;
        }
        if page.len() < PAGE_RECORDS {
            return Ok(head);
        }
    }
}

/// The head behind one more record, if the record is the next and carries the right hash.
pub fn follow(head: Head, key: &[u8], value: &[u8]) -> Result<Head, Fault> {
    let expected = head.sequence + 1;
    let found = sequence(key)?;
    if found != expected {
        return Err(Fault::damaged(Table::Journal, key, format!("the journal goes from {} to {found}", head.sequence)));
    }
    let (hash, body) = open(key, value)?;
    if hash != link(&head.hash, found, body) {
        return Err(Fault::damaged(Table::Journal, key, "its hash does not continue the chain"));
    }
    Ok(Head { sequence: found, hash })
}

fn link(previous: &Hash, sequence: u64, body: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(sequence.to_be_bytes());
    hash.update(body);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, Memory};
    use super::*;

    fn journal(bodies: &[&[u8]]) -> Memory {
        let mut store = Memory::default();
        let mut draft = Draft::new(&store).expect("draft");
        for body in bodies {
            draft.append(body.to_vec());
        }
        let commit = draft.into_commit();
        store.commit(commit).expect("commit");
        store
    }

    fn broken_by(harm: impl FnOnce(&mut Draft)) -> bool {
        let mut store = journal(&[b"one", b"two", b"three", b"four"]);
        let mut draft = Draft::new(&store).expect("draft");
        harm(&mut draft);
        let commit = draft.into_commit();
        store.commit(commit).expect("commit");
        verify(&store, Head::EMPTY).is_err()
    }

    fn key(n: u64) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    #[test]
    fn a_journal_verifies_from_its_start_and_from_any_known_head() {
        let store = journal(&[b"one", b"", b"three"]);
        let head = verify(&store, Head::EMPTY).expect("whole");
        assert_eq!(head, Head::of(&store).expect("head"));
        assert_eq!(head.sequence, 3);
        assert_eq!(verify(&store, head).expect("nothing more"), head);
        let (hash, body) = (seal(&[0; 32], 1, b"one")[..32].try_into().expect("32"), b"one");
        assert_eq!(verify(&store, Head { sequence: 1, hash }).expect("from the first"), head);
        let first = store.get(Table::Journal, &key(1)).expect("get").expect("there");
        assert_eq!(open(&key(1), &first).expect("open"), (hash, &body[..]));
    }

    #[test]
    fn every_change_of_the_past_breaks_the_chain() {
        assert!(!broken_by(|_| {}));
        let get = |draft: &Draft, n| draft.get(Table::Journal, &key(n)).expect("get").expect("there");
        assert!(
            broken_by(|draft| {
                let mut changed = get(draft, 2);
                *changed.last_mut().expect("a body") ^= 1;
                draft.put(Table::Journal, key(2), changed);
            }),
            "a changed body"
        );
        assert!(
            broken_by(|draft| {
                let (two, three) = (get(draft, 2), get(draft, 3));
                draft.put(Table::Journal, key(2), three);
                draft.put(Table::Journal, key(3), two);
            }),
            "two records in each other's place"
        );
        assert!(broken_by(|draft| draft.delete(Table::Journal, key(2))), "a hole");
        assert!(broken_by(|draft| draft.delete(Table::Journal, key(1))), "a missing start");
        assert!(
            broken_by(|draft| {
                let resealed = seal(&[0; 32], 3, b"forged");
                draft.put(Table::Journal, key(3), resealed);
            }),
            "a record sealed behind another past"
        );
    }

    #[test]
    fn a_long_journal_is_read_in_pages() {
        let bodies: Vec<Vec<u8>> = (0..1000u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let store = journal(&bodies.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(verify(&store, Head::EMPTY).expect("whole").sequence, 1000);
    }
}
