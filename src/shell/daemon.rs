//! `reconciled serve`: puts the parts together, says when it is ready, and stops in order.
//!
//! Order of a start: configuration, lock, sockets, check in a child, store, ready. Sockets are bound
//! before the check, so that the kernel queues senders meanwhile; nothing is answered 200 before the
//! store is open.

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::admin::{self, Admin};
use super::admin_guard::{Guard, peer_may_connect};
use super::clock::Clock;
use super::config::{self, Config, Flags, Surroundings, address};
use super::demo_clock::DemoClock;
use super::gateway::{Asker, install_tls};
use super::http::{self, Limits, Listener, Room, Turned};
use super::opening::{Abort, Opening};
use super::order_numbers::{Desk, Wish};
use super::relay::Relay;
use super::reports::{Reports, Trouble};
use super::retriever::Retriever;
use super::spool::Spool;
use super::webhook::Sender;
use super::writer::{self, State, Writer};
use super::{core_dumps, exit, notifier, proxy, public, scan, scheduler, telemetry};
use crate::engine::Engine;
use crate::store::file::StoreFile;

/// From SIGTERM until requests under way are cut off.
const DRAIN: Duration = Duration::from_millis(3500);
/// From then until the store must be closed.
const CLOSE: Duration = Duration::from_millis(1500);
/// Threads that carry requests; the work is done by the writer's and by readers' threads.
pub const CARRIERS: usize = 2;
/// Connections to the admin socket at once.
const ADMIN_CONNECTIONS_MAX: usize = 512;
/// Proving the books reads all of them.
const ADMIN_DEADLINE: Duration = Duration::from_secs(600);
/// How long a writer that is asked whether it moves may take.
const PING_MAX: Duration = Duration::from_secs(10);

/// What the command line says.
pub struct Options {
    pub config: PathBuf,
    pub ready_file: Option<PathBuf>,
    pub flags: Flags,
}

/// Runs the daemon until it is told to stop. Returns the process's exit code.
pub fn serve(options: &Options) -> u8 {
    core_dumps::forbid();
    let config = match config::load(&options.config, &options.flags, &Surroundings::of_this_process()) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("{problem}");
            return exit::CONFIG;
        }
    };
    telemetry::install(&config.log);
    let file = match StoreFile::lock(&config.store.path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("{error}");
            return if error.is_temporary() { exit::TEMPORARY } else { exit::FAULT };
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CARRIERS)
        .enable_all()
        .build()
        .context("can't start the runtime");
    let served = runtime.and_then(|runtime| {
        let code = runtime.block_on(run(config, file, options.ready_file.as_deref()));
        // Readers and requests that did not end in time must not hold the process.
        runtime.shutdown_background();
        code
    });
    served.unwrap_or_else(|why| {
        error!("{why:#}");
        exit::FAULT
    })
}

struct Bound {
    public: std::net::TcpListener,
    socket: std::os::unix::net::UnixListener,
    admin_tcp: Option<std::net::TcpListener>,
    proxies: Vec<proxy::Bound>,
}

fn bind(config: &Config) -> anyhow::Result<Bound> {
    let tcp = |address: SocketAddr| {
        let bound = std::net::TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
        bound.set_nonblocking(true)?;
        anyhow::Ok(bound)
    };
    let mut inherited = inherited()?;
    // The proxy's are told by their addresses; what is left is the public one, wherever systemd has it.
    let proxies = proxy::bind(&config.proxies, &mut inherited)?;
    let public = inherited.into_iter().next().map_or_else(|| tcp(config.listen.public), Ok)?;
    let path = &config.listen.admin_socket;
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    }
    // We hold the store's lock, so a socket that lies there has no daemon behind it.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("can't replace {}", path.display()));
        }
        _ => {}
    }
    let socket =
        std::os::unix::net::UnixListener::bind(path).with_context(|| format!("can't listen on {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    socket.set_nonblocking(true)?;
    let admin_tcp = config.listen.admin_tcp.as_ref().map(|admin| tcp(admin.address)).transpose()?;
    Ok(Bound { public, socket, admin_tcp, proxies })
}

/// The sockets that systemd listens on for us, so that senders are queued while we restart.
fn inherited() -> anyhow::Result<Vec<std::net::TcpListener>> {
    let mut given = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for n in 0..given.len() {
        if let Some(listener) = given.take_tcp_listener(n).context("a socket that systemd gives is not TCP")? {
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

async fn run(config: Config, file: StoreFile, ready_file: Option<&Path>) -> anyhow::Result<u8> {
    install_tls();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let bound = bind(&config)?;
    let addresses = Addresses {
        public: bound.public.local_addr()?,
        admin_socket: config.listen.admin_socket.clone(),
        admin_tcp: bound.admin_tcp.as_ref().map(std::net::TcpListener::local_addr).transpose()?,
        proxies: bound.proxies.iter().map(|bound| bound.address).collect(),
    };

    let clock = Clock::new();
    let all_loopback = config.gateways.values().all(|gateway| address::is_loopback(&gateway.base_url));
    let demo = DemoClock::new(clock.clone(), all_loopback);
    let abort = Abort::default();
    let unchecked = Arc::new(AtomicBool::new(false));
    let opening = Opening {
        file,
        cache_mib: config.store.cache_mib,
        clock: clock.clone(),
        demo: demo.clone(),
        abort: abort.clone(),
        unchecked: unchecked.clone(),
    };
    let engine = Arc::new(Engine { policy: config.policy.clone(), keys: config.keys.clone() });
    let (writer, thread) = writer::start(engine, clock, Box::new(move || opening.open()))?;

    let parts = Parts {
        writer: writer.clone(),
        turned: Arc::default(),
        unchecked,
        report_trouble: Trouble::default(),
        tracker: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    let numbered = config.gateways.iter().filter(|(_, gateway)| gateway.order_numbers);
    let (desk, wishes) = Desk::new(numbered.map(|(name, _)| name.clone()).collect());
    parts.listen(&config, bound, demo, desk)?;
    let webhook = config.webhook.clone().map(Sender::new).transpose()?;
    parts.tracker.spawn(notifier::run(writer.clone(), webhook, parts.stop.clone()));

    let mut state = writer.state();
    let code = tokio::select! {
        _ = terminate.recv() => exit::OK,
        _ = interrupt.recv() => exit::OK,
        code = parts.work(&config, wishes, &addresses, ready_file) => code?,
        failed = state.wait_for(|state| matches!(state, State::Failed { .. })) => {
            // The sender lives as long as the thread: gone means it panicked.
            if failed.is_err() { error!("the writer is gone"); }
            exit::FAULT
        }
    };
    info!("stopping");
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    abort.abort();
    parts.drain(thread).await;
    let _ = std::fs::remove_file(&addresses.admin_socket);
    Ok(code)
}

struct Parts {
    writer: Writer,
    turned: Arc<Turned>,
    unchecked: Arc<AtomicBool>,
    report_trouble: Trouble,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Parts {
    /// Starts the listeners.
    fn listen(&self, config: &Config, bound: Bound, demo: DemoClock, desk: Desk) -> anyhow::Result<()> {
        let listen = &config.listen;
        let room = Room::new(listen.body_max_bytes, listen.bytes_in_flight_max, self.turned.clone());
        // Shops' submissions must not wait for the public listener's room.
        let admin_room = Room::new(listen.body_max_bytes, listen.bytes_in_flight_max, self.turned.clone());
        let admin = Admin {
            writer: self.writer.clone(),
            room: admin_room,
            demo: demo.clone(),
            turned: self.turned.clone(),
            report_trouble: self.report_trouble.clone(),
            desk,
            operations: config.operations.enabled.then(|| Arc::new(config.operations.over_capture_percent.clone())),
        };

        let serve = |listener, app, limits| {
            http::serve(listener, app, limits, self.turned.clone(), self.tracker.clone(), self.stop.clone())
        };
        let admin_limits =
            Limits { request_deadline: ADMIN_DEADLINE, ..Limits::new(ADMIN_CONNECTIONS_MAX, ADMIN_CONNECTIONS_MAX) };
        let socket = Listener::Unix(UnixListener::from_std(bound.socket)?, peer_may_connect);
        self.tracker.spawn(serve(socket, admin::router(admin.clone(), Guard::Peer), admin_limits.clone()));
        if let (Some(tcp), Some(settings)) = (bound.admin_tcp, &listen.admin_tcp) {
            let guard = Guard::Token(settings.token.clone());
            let tcp = Listener::Tcp(TcpListener::from_std(tcp)?);
            self.tracker.spawn(serve(tcp, admin::router(admin, guard), admin_limits));
        }
        proxy::start(bound.proxies, &self.writer, &self.tracker, &self.stop)?;
        let limits = Limits::new(listen.connections_max, listen.connections_per_peer_max);
        let serving = serve(
            Listener::Tcp(TcpListener::from_std(bound.public)?),
            public::router(self.writer.clone(), room),
            limits,
        );
        let mut state = self.writer.state();
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            // While the store is being checked the kernel queues senders for us.
            tokio::select! {
                () = stop.cancelled() => return,
                () = demo.waits() => {}
                _ = state.wait_for(|state| *state != State::Opening) => {}
            }
            serving.await;
        });
        Ok(())
    }

    /// Waits for the store, starts what works on it, and tells that we are ready. Returns only on an error.
    async fn work(
        &self,
        config: &Config,
        wishes: mpsc::Receiver<Wish>,
        addresses: &Addresses,
        ready_file: Option<&Path>,
    ) -> anyhow::Result<u8> {
        let mut state = self.writer.state();
        // An error means the writer is gone, which the caller sees too.
        if state.wait_for(|state| *state == State::Open).await.is_err() {
            std::future::pending::<()>().await;
        }
        // A damaged record is the background check's to tell.
        if let Ok(Ok(missing)) = self.writer.read(|engine, view, _| engine.missing_accounts(view)).await
            && !missing.is_empty()
        {
            let names = missing.join("], [merchants.");
            error!(
                "the store has payments of accounts that the configuration does not name: put [merchants.{names}] back"
            );
            return Ok(exit::CONFIG);
        }
        let mut askers = std::collections::BTreeMap::new();
        for (name, account) in &config.policy.accounts {
            if let Some(gateway) = config.gateways.get(name) {
                let asker = Asker::new(account, gateway, config.keys.get(name))
                    .with_context(|| format!("can't make the client for `{name}` (are CA certificates installed?)"))?;
                askers.insert(name.clone(), Arc::new(asker));
            }
        }
        let retriever = Retriever::new(self.writer.clone(), askers, |name| {
            let gateway = &config.gateways[name];
            (gateway.lanes_max, gateway.requests_per_second_max)
        });
        self.tracker.spawn(retriever.grants(wishes).run(self.stop.clone()));
        if !config.shops.is_empty() {
            let relay = Relay::new(self.writer.clone(), &config.shops).context("can't make the client for a relay")?;
            self.tracker.spawn(relay.run(self.stop.clone()));
        }
        let reports = config.reports.clone().map(|folder| Reports { folder, trouble: self.report_trouble.clone() });
        if let Some(reports) = &reports {
            reports
                .prepare()
                .with_context(|| format!("can't use the report directory {}", reports.folder.display()))?;
        }
        self.tracker.spawn(scheduler::run(self.writer.clone(), reports, self.stop.clone()));
        if let Some(folder) = &config.spool {
            let spool = Spool { folder: folder.clone(), body_max_bytes: config.listen.body_max_bytes };
            spool.prepare().with_context(|| format!("can't use the spool directory {}", folder.display()))?;
            self.tracker.spawn(spool.run(self.writer.clone(), self.stop.clone()));
        }
        if let Some(path) = ready_file {
            addresses.write(path).with_context(|| format!("can't write the ready file {}", path.display()))?;
        }
        info!(public = %addresses.public, "ready on {}", addresses.public);
        if self.unchecked.load(Ordering::SeqCst) {
            self.tracker.spawn(scan::run(self.writer.clone(), self.stop.clone()));
        }
        let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
        watchdog(&self.writer, state).await;
        std::future::pending().await
    }

    /// Lets requests under way finish, then has the writer close the store.
    async fn drain(self, thread: std::thread::JoinHandle<()>) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(DRAIN, self.tracker.wait()).await.is_err() {
            warn!("some work did not end in time; what was acknowledged is kept");
        }
        let stopping = async {
            self.writer.stop().await;
            let mut state = self.writer.state();
            // An error means the thread has ended: no less stopped.
            let _ = state.wait_for(|state| matches!(state, State::Stopped | State::Failed { .. })).await;
        };
        if tokio::time::timeout(CLOSE, stopping).await.is_err() {
            warn!("the store was not closed in time; the next start checks it");
        } else if tokio::task::spawn_blocking(move || thread.join()).await.is_ok_and(|joined| joined.is_err()) {
            error!("the writer ended in a panic");
        }
    }
}

/// Feeds systemd's watchdog while the writer moves. A store that is down on purpose (no space) is tried
/// again by the writer itself, and a restart would not help.
async fn watchdog(writer: &Writer, state: watch::Receiver<State>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut every = tokio::time::interval(limit / 3);
    loop {
        every.tick().await;
        let moves = match &*state.borrow() {
            State::Down { .. } | State::Opening => true,
            State::Open | State::Failed { .. } | State::Stopped => false,
        };
        if moves || tokio::time::timeout(PING_MAX, writer.ping()).await.is_ok_and(|ping| ping.is_ok()) {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        } else {
            warn!("the writer does not move");
        }
    }
}

/// Where we listen, for whoever started us with ports of 0.
struct Addresses {
    public: SocketAddr,
    admin_socket: PathBuf,
    admin_tcp: Option<SocketAddr>,
    /// In the order of the accounts' names, `also` behind `listen`.
    proxies: Vec<SocketAddr>,
}

impl Addresses {
    /// Written whole or not at all: who waits for the file reads it at once.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::json!({
            "public": self.public,
            "admin_socket": self.admin_socket,
            "admin_tcp": self.admin_tcp,
            "proxies": self.proxies,
            "pid": std::process::id(),
        });
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, text.to_string().as_bytes())?;
        file.persist(path).map_err(|failed| failed.error)?;
        Ok(())
    }
}
