//! Reads every record once in the background, after a start that trusted the mark of a clean stop and
//! did not check the file: a record that changed on the disk is found while its backup still exists.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::writer::Writer;
use crate::store::check::Scan;

/// Rest after each step, as a multiple of what the step took: senders and shops come first.
const REST_FACTOR: u32 = 3;
/// Shortest rest after a step.
const REST_MIN: Duration = Duration::from_millis(5);
/// Rest while the store is closed; the scan then begins anew.
const CLOSED_REST: Duration = Duration::from_secs(1);

/// Scans to the end or until `stop`. A damaged record stops the writer, as any that it meets itself does.
pub async fn run(writer: Writer, stop: CancellationToken) {
    let mut scan = Scan::default();
    loop {
        let began = Instant::now();
        let step = writer.read(move |_, view, _| {
            let scanned = scan.step(view)?;
            Ok((scan, scanned))
        });
        let rest = match step.await {
            Ok(Ok((_, Some(scanned)))) => {
                info!(records = scanned.records, "background check: {} records, none damaged", scanned.records);
                return;
            }
            Ok(Ok((at, None))) => {
                scan = at;
                (began.elapsed() * REST_FACTOR).max(REST_MIN)
            }
            Ok(Err(fault)) => {
                error!("background check: {fault}");
                writer.distrust(fault).await;
                return;
            }
            Err(_) => {
                scan = Scan::default();
                CLOSED_REST
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}
