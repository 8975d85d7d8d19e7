//! No image of this process goes to a disk: it holds credentials, and requests with card numbers pass through it.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing::debug;

/// Asks the kernel to write no core dump of this process, to a file or to a program (`systemd-coredump`).
///
/// A service manager may forbid the call and set the limit itself (`LimitCORE=0`): that is no error.
pub fn forbid() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        debug!("the limit of core dumps is left to the service manager: {error}");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        debug!("the kernel keeps this process dumpable: {error}");
    }
}
