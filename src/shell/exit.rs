//! What the process's exit code says (sysexits.h, where it has a word for it).

/// Done.
pub const OK: u8 = 0;
/// The question was answered with no: `check` found something, an id is not known.
pub const NO: u8 = 1;
/// Wrong use of the command line.
pub const USAGE: u8 = 64;
/// The input can't be read as what it should be.
pub const DATA: u8 = 65;
/// The daemon can't be reached.
pub const UNAVAILABLE: u8 = 69;
/// Our own store or program can't be trusted.
pub const FAULT: u8 = 70;
/// Not now: in use, no room, not closed cleanly.
pub const TEMPORARY: u8 = 75;
/// An operation that moves money may or may not have taken effect.
pub const UNKNOWN: u8 = 76;
/// The configuration is wrong.
pub const CONFIG: u8 = 78;

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0   done
  1   no: `check` found something, the id is not known, the daemon refused
  64  wrong use of the command line
  65  the input can't be read as what it should be
  69  the daemon can't be reached
  70  a fault: the store or the program can't be trusted
  75  not now: in use, no room, not closed cleanly; try again
  76  nobody knows whether the operation took effect; it is looked up: do not repeat it
  78  the configuration is wrong";
