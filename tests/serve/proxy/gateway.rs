//! A gateway that knows no HTTP: it reads so many bytes, keeps them as they came, and says what it was told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::shop::STUCK;

/// One request and its answer.
pub struct Scene {
    /// Bytes the request has.
    pub hears: usize,
    pub says: Vec<u8>,
    pub then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next scene is on the same connection.
    Stays,
    Closes,
    /// The connection stays open, and nothing is said any more.
    Hangs,
}

pub struct Gateway {
    pub address: SocketAddr,
    scenes: Sender<Scene>,
    heard: Receiver<Vec<u8>>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Gateway {
    pub fn new() -> Gateway {
        Gateway::start(None)
    }

    /// The same behind TLS, with the certificate of `localhost` in tests/keys.
    pub fn with_tls() -> Gateway {
        let key = |name: &str| format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"));
        let certificate = CertificateDer::from_pem_file(key("localhost.crt")).expect("a certificate");
        let private = PrivateKeyDer::from_pem_file(key("localhost.pem")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], private);
        Gateway::start(Some(Arc::new(config.expect("they fit"))))
    }

    fn start(tls: Option<Arc<ServerConfig>>) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (scenes, script) = channel();
        let (ear, heard) = channel();
        std::thread::spawn(move || play(&listener, tls, &script, &ear));
        Gateway { address, scenes, heard }
    }

    pub fn plays(&self, scene: Scene) {
        self.scenes.send(scene).expect("the gateway lives");
    }

    /// What it heard in the next scene, every byte of it.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.recv_timeout(STUCK).expect("it hears something")
    }

    /// Ends it; what it heard beyond its scenes.
    pub fn ends(self) -> Vec<u8> {
        drop(self.scenes);
        let mut rest = Vec::new();
        loop {
            match self.heard.recv_timeout(STUCK) {
                Ok(more) => rest.extend(more),
                Err(RecvTimeoutError::Disconnected) => return rest,
                Err(RecvTimeoutError::Timeout) => panic!("the gateway does not end"),
            }
        }
    }
}

fn play(listener: &TcpListener, tls: Option<Arc<ServerConfig>>, script: &Receiver<Scene>, ear: &Sender<Vec<u8>>) {
    let mut open: Option<Box<dyn Stream>> = None;
    let mut hanging: Vec<Box<dyn Stream>> = Vec::new();
    while let Ok(scene) = script.recv() {
        let mut heard = vec![0; scene.hears];
        // A connection that closes before its first byte carried nothing.
        let mut stream = loop {
            let mut stream = open.take().unwrap_or_else(|| accept(listener, tls.as_ref()));
            if let Ok(1) = stream.read(&mut heard[..1]) {
                break stream;
            }
        };
        let mut whole = 1;
        while whole < heard.len() {
            match stream.read(&mut heard[whole..]) {
                Ok(0) | Err(_) => break,
                Ok(read) => whole += read,
            }
        }
        heard.truncate(whole);
        // The test may have ended already.
        let _ = ear.send(heard);
        let _ = stream.write_all(&scene.says).and_then(|()| stream.flush());
        match scene.then {
            Then::Stays => open = Some(stream),
            Then::Closes => {}
            Then::Hangs => hanging.push(stream),
        }
    }
    if let Some(mut stream) = open {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let _ = ear.send(rest);
    }
}

fn accept(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>) -> Box<dyn Stream> {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(STUCK)).expect("a time-out");
    match tls {
        None => Box::new(stream),
        Some(config) => {
            let server = ServerConnection::new(config.clone()).expect("a session");
            Box::new(StreamOwned::new(server, stream))
        }
    }
}
