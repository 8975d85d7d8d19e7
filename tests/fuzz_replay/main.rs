//! The fuzz targets on stable: every kept seed of `fuzz/corpus`, and drawn changes of each.
//!
//! `FUZZ_CHANGES` in the environment asks for more changes of each seed; a run draws the same ones every time.

mod targets;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use reconciled::sandbox::prng::Prng;

use targets::{TARGETS, Target};

/// Changes drawn of each seed.
const CHANGES: usize = 400;
/// Longest input that changes make, in bytes.
const INPUT_MAX_BYTES: usize = 64 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The seeds of one target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<(String, Vec<u8>)> = fs::read_dir(corpus().join(target))
        .unwrap_or_else(|why| panic!("no seeds for {target}: {why}"))
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a seed")))
        .collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_and_every_drawn_change_of_it_keeps_the_promises() {
    let changes = std::env::var("FUZZ_CHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(CHANGES);
    for (name, run) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
        let mut prng = Prng::new(0x5EED_2026).fork(name);
        for (seed, bytes) in &seeds {
            checked(run, bytes, &format!("{name}/{seed}"));
            for n in 0..changes {
                let changed = change(bytes, &seeds, &mut prng);
                checked(run, &changed, &format!("{name}/{seed}, change {n}"));
            }
        }
        let _ = writeln!(std::io::stderr(), "{name}: {} seeds, {} inputs", seeds.len(), seeds.len() * (changes + 1));
    }
}

fn checked(run: &fn(&[u8]), input: &[u8], what: &str) {
    let outcome = std::panic::catch_unwind(|| run(input));
    assert!(outcome.is_ok(), "{what}: {}", input.escape_ascii());
}

#[test]
fn every_target_has_its_fuzzer_and_every_fuzzer_its_target() {
    let folder = corpus().join("../fuzz_targets");
    let manifest = fs::read_to_string(corpus().join("../Cargo.toml")).expect("the fuzzers' manifest");
    let mut files: Vec<String> = fs::read_dir(folder)
        .expect("the fuzzers")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().replace(".rs", ""))
        .collect();
    let mut names: Vec<String> = TARGETS.iter().map(|(name, _): &Target| (*name).to_owned()).collect();
    files.sort();
    names.sort();
    assert_eq!(files, names);
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml does not name {name}");
    }
}

/// One to four small changes, or a piece of another seed.
fn change(bytes: &[u8], seeds: &[(String, Vec<u8>)], prng: &mut Prng) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"<",
        b">",
        b"&",
        b"=",
        b"%",
        b"+",
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\0",
        b"\xFF",
        b"&amp;",
        b"<!--",
        b"]]>",
        b"xmlns:x=''",
        b"1e9999",
        b"-",
        b"99999999999999999999",
        b"%00",
        b"\\u0000",
        b"\n",
    ];
    let mut bytes = bytes.to_vec();
    for _ in 0..=prng.below(3) {
        let length = bytes.len() as u64;
        let (a, b) = (prng.below(length + 1) as usize, prng.below(length + 1) as usize);
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 200));
        match prng.below(7) {
            0 if from < bytes.len() => bytes[from] ^= 1 << prng.below(8),
            1 if from < bytes.len() => bytes[from] = prng.next().to_le_bytes()[0],
            2 => drop(bytes.drain(from..to)),
            3 => {
                let copy = bytes[from..to].to_vec();
                bytes.splice(from..from, copy);
            }
            4 => {
                let (_, other) = prng.pick(seeds);
                let start = prng.below(other.len() as u64 + 1) as usize;
                let piece = other[start..(start + 200).min(other.len())].to_vec();
                bytes.splice(from..to, piece);
            }
            5 => {
                // Many of one kind: depth, attributes, fields, digits.
                let piece = prng.pick::<&[u8]>(PIECES).repeat(1 + prng.below(200) as usize);
                bytes.splice(from..from, piece);
            }
            _ => drop(bytes.splice(from..from, prng.pick::<&[u8]>(PIECES).to_vec())),
        }
        bytes.truncate(INPUT_MAX_BYTES);
    }
    bytes
}
