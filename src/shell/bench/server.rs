//! The daemon's own parts in this process: listeners, writer, store; and the same listeners that read
//! and verify but keep nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::To;
use super::messages::MERCHANT;
use super::place::{Place, until};
use crate::engine::Engine;
use crate::shell::admin::{self, Admin};
use crate::shell::admin_guard::{Guard, peer_may_connect};
use crate::shell::books::Books;
use crate::shell::clock::Clock;
use crate::shell::daemon::CARRIERS;
use crate::shell::demo_clock::DemoClock;
use crate::shell::http::{self, Limits, Listener, Room, Turned};
use crate::shell::order_numbers::Desk;
use crate::shell::public;
use crate::shell::reports::Trouble;
use crate::shell::submission_json;
use crate::shell::writer::{self, State as WriterState, Writer};
use crate::store::{Fault, Table};
use crate::wire;
use crate::words::id::MerchantName;

const BODY_MAX_BYTES: usize = 1024 * 1024;
const IN_FLIGHT_MAX_BYTES: usize = 64 * 1024 * 1024;
const CONNECTIONS_MAX: usize = 1024;
const BODY_DEADLINE: Duration = Duration::from_secs(7);

/// Listeners on a runtime like the daemon's.
pub struct Server {
    pub runtime: Runtime,
    pub notifications: To,
    pub submissions: To,
    /// The one that keeps has a writer.
    pub writer: Option<Writer>,
    thread: Option<std::thread::JoinHandle<()>>,
    stop: CancellationToken,
}

impl Server {
    /// Keeps what it is sent, in the place's store, and judges it.
    pub fn that_keeps(place: &Place) -> anyhow::Result<Server> {
        let store = place.open()?;
        let mut store = Some(Box::new(store) as Box<dyn Books>);
        let again = || Fault::Broken("the benchmark's store failed".to_owned());
        let clock = Clock::new();
        let (writer, thread) =
            writer::start(Arc::new(place.engine()), clock.clone(), Box::new(move || store.take().ok_or_else(again)))?;
        let room = room();
        let admin = Admin {
            writer: writer.clone(),
            room: room.clone(),
            demo: DemoClock::new(clock, true),
            turned: Arc::default(),
            report_trouble: Trouble::default(),
            desk: Desk::new(BTreeSet::default()).0,
            operations: None,
        };
        let (public, admin) = (public::router(writer.clone(), room), admin::router(admin, Guard::Peer));
        let mut server = Server::listen(public, admin, place.path("keeps.sock"))?;
        let mut state = writer.state();
        server.runtime.block_on(state.wait_for(|state| *state == WriterState::Open))?;
        (server.writer, server.thread) = (Some(writer), Some(thread));
        Ok(server)
    }

    /// Reads, parses and verifies what it is sent, and answers; keeps nothing.
    pub fn that_forgets(place: &Place) -> anyhow::Result<Server> {
        let forgetful =
            Forgetful { engine: Arc::new(place.engine()), merchant: MerchantName::new(MERCHANT)?, room: room() };
        let public = Router::new().route("/ipn/{merchant}", post(forget_notification)).with_state(forgetful.clone());
        let admin = Router::new().route("/v1/submissions", post(forget_submission)).with_state(forgetful);
        Server::listen(public, admin, place.path("forgets.sock"))
    }

    fn listen(public: Router, admin: Router, socket: PathBuf) -> anyhow::Result<Server> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(CARRIERS).enable_all().build()?;
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let address = runtime.block_on(async {
            let tcp = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            let address = tcp.local_addr()?;
            let unix = UnixListener::bind(&socket)?;
            for (listener, app) in [(Listener::Tcp(tcp), public), (Listener::Unix(unix, peer_may_connect), admin)] {
                let limits = Limits::new(CONNECTIONS_MAX, CONNECTIONS_MAX);
                tokio::spawn(http::serve(listener, app, limits, Arc::default(), tracker.clone(), stop.clone()));
            }
            anyhow::Ok(address)
        })?;
        let (notifications, submissions) = (To::Tcp(address), To::Unix(socket));
        Ok(Server { runtime, notifications, submissions, writer: None, thread: None, stop })
    }

    /// Waits until everything kept is judged.
    pub fn judged(&self) -> anyhow::Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        until("judging", || {
            let reading = writer.read(|_, view, _| Ok(view.range(Table::Inbox, &[], &[], 1)?.is_empty()));
            self.runtime.block_on(reading).map_err(|closed| Fault::Broken(closed.to_string()))?
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(writer) = self.writer.take() {
            self.runtime.block_on(writer.stop());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn room() -> Room {
    Room::new(BODY_MAX_BYTES, IN_FLIGHT_MAX_BYTES, Arc::<Turned>::default())
}

#[derive(Clone)]
struct Forgetful {
    engine: Arc<Engine>,
    merchant: MerchantName,
    room: Room,
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

async fn forget_notification(State(server): State<Forgetful>, body: Body) -> Response<Body> {
    let Ok(held) = server.room.read(body, BODY_DEADLINE).await else { return plain(StatusCode::BAD_REQUEST) };
    let message = wire::wpg::decode(&held.bytes, server.engine.keys.get(&server.merchant));
    let is_genuine = message.is_ok_and(|message| message.authenticity.is_verified());
    plain(if is_genuine { StatusCode::OK } else { StatusCode::BAD_REQUEST })
}

async fn forget_submission(State(server): State<Forgetful>, body: Body) -> Response<Body> {
    let Ok(held) = server.room.read(body, BODY_DEADLINE).await else { return plain(StatusCode::BAD_REQUEST) };
    let read = submission_json::submission(&held.bytes, &server.engine.policy.accounts);
    plain(if read.is_ok() { StatusCode::CREATED } else { StatusCode::BAD_REQUEST })
}
