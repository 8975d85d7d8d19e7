use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::core::account::{Account, Contract, Wpg};
use crate::core::policy::{AlertPolicy, Keeping, Policy, ReportPolicy};
use crate::core::schedule::Schedule;
use crate::shell::books::memory::MemoryBooks;
use crate::words::id::RequestId;
use crate::words::money::Amount;

/// Longer than anything here takes; only something stuck meets it.
const STUCK: Duration = Duration::from_secs(30);

pub(in crate::shell) fn name() -> MerchantName {
    MerchantName::new("shop-eu").expect("a name")
}

pub(in crate::shell) fn engine() -> Arc<Engine> {
    let contract = Contract::Wpg(Wpg {
        merchant_account_ids: vec!["m-1".into()],
        resolver_category: None,
        scheme: None,
        siblings: Vec::new(),
    });
    let account = Account { name: name(), time_zone: "UTC".into(), contract };
    let policy = Policy {
        accounts: BTreeMap::from([(name(), account)]),
        schedule: Schedule::default(),
        alerts: AlertPolicy::default(),
        report: ReportPolicy::default(),
        keeping: Keeping::default(),
        relays: Default::default(),
    };
    Arc::new(Engine { policy, keys: BTreeMap::new() })
}

pub(in crate::shell) fn submission(request_id: &str) -> Submission {
    Submission {
        merchant: name(),
        request_id: RequestId::new(request_id).expect("an id"),
        order_number: None,
        transaction_type: Some("debit".into()),
        amount: Amount::parse("12.50", "EUR").expect("money"),
        payment_method: None,
        parent_transaction_id: None,
        gateway_order_number: None,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    }
}

pub(in crate::shell) async fn started(books: &MemoryBooks) -> Writer {
    let kept = books.clone();
    let opener: Opener = Box::new(move || {
        let full = kept.disk().full;
        if full { Err(Fault::Full("no space".into())) } else { Ok(Box::new(kept.clone())) }
    });
    let (writer, _) = start(engine(), Clock::new(), opener).expect("a thread");
    is(&writer, |state| *state == State::Open).await;
    writer
}

async fn is(writer: &Writer, wanted: impl FnMut(&State) -> bool) {
    let mut state = writer.state();
    tokio::time::timeout(STUCK, state.wait_for(wanted)).await.expect("it comes").expect("the writer lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_together_is_committed_together_and_all_of_it_is_answered() {
    let books = MemoryBooks::default();
    let writer = started(&books).await;
    let before = books.disk().commits;
    let many = (0..400).map(|n| {
        let writer = writer.clone();
        tokio::spawn(async move { writer.submit(submission(&format!("r-{n}"))).await })
    });
    for job in many.collect::<Vec<_>>() {
        assert!(matches!(job.await.expect("no panic"), Ok(Submitted::Created { .. })));
    }
    let commits = books.disk().commits - before;
    assert!(commits < 400, "{commits} commits for 400 jobs");
    let again = writer.submit(submission("r-7")).await;
    assert!(matches!(again, Ok(Submitted::Same { .. })), "{again:?}");
    let number =
        writer.read(|engine, view, now| engine.payment(view, &name(), &RequestId::new("r-7").expect("an id"), now));
    assert!(number.await.expect("open").expect("read").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_thanks_nobody_and_loses_nothing() {
    let books = MemoryBooks::default();
    let writer = started(&books).await;
    assert!(writer.submit(submission("before")).await.is_ok());
    books.disk().full = true;
    assert_eq!(writer.submit(submission("during")).await, Err(Down));
    is(&writer, |state| matches!(state, State::Down { .. })).await;
    assert_eq!(writer.submit(submission("during")).await, Err(Down));

    books.disk().full = false;
    is(&writer, |state| *state == State::Open).await;
    assert!(matches!(writer.submit(submission("before")).await, Ok(Submitted::Same { .. })));
    assert!(matches!(writer.submit(submission("during")).await, Ok(Submitted::Created { .. })));
    let journal = writer.read(|engine, view, _| engine.journal(view, 0, 100)).await.expect("open").expect("read");
    let told = serde_json::to_string(&journal.items).expect("json");
    assert!(told.contains("no space"), "the deaf interval is journaled with its reason: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_disk_ends_the_writer_without_thanks() {
    let books = MemoryBooks::default();
    let writer = started(&books).await;
    books.disk().broken = true;
    assert_eq!(writer.submit(submission("r")).await, Err(Down));
    is(&writer, |state| matches!(state, State::Failed { .. })).await;
    assert_eq!(writer.ping().await, Err(Down));
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_notifications_are_judged_behind_their_senders_back() {
    let writer = started(&MemoryBooks::default()).await;
    assert!(writer.submit(submission("r-1")).await.is_ok());
    let incoming = Incoming {
        merchant: name(),
        body: b"transaction_state=success&request_id=r-1&merchant_account_id=m-1".to_vec(),
        content_type: None,
        way: "http",
    };
    assert!(matches!(writer.receive(incoming).await, Ok(Kept::Kept { .. })));
    let mut commits = writer.commits();
    let judged = async {
        loop {
            let inbox = writer.read(|_, view, _| view.last(Table::Inbox, &[], &[])).await;
            if inbox.expect("open").expect("read").is_none() {
                return;
            }
            let _ = commits.changed().await;
        }
    };
    tokio::time::timeout(STUCK, judged).await.expect("it is judged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_keeps_what_waits_and_the_clock_goes_on_from_there() {
    let books = MemoryBooks::default();
    let stopped = Arc::new(AtomicBool::new(false));
    let writer = started(&books).await;
    let last = {
        let (writer, stopped) = (writer.clone(), stopped.clone());
        tokio::spawn(async move {
            let kept = writer.submit(submission("last")).await;
            stopped.store(true, Ordering::SeqCst);
            kept
        })
    };
    while !stopped.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    writer.stop().await;
    is(&writer, |state| *state == State::Stopped).await;
    assert!(last.await.expect("no panic").is_ok());
    let stored = Stored::read(&books.disk().contents).expect("read").expect("the clock is kept with every commit");
    let writer = started(&books).await;
    assert!(writer.clock.now().steady >= stored.steady);
    assert!(matches!(writer.submit(submission("last")).await, Ok(Submitted::Same { .. })));
}
