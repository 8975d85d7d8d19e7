//! The embedded store on real files, and on a disk that fails.

#[path = "../common/simdisk.rs"]
mod simdisk;

mod crash;
mod file;
