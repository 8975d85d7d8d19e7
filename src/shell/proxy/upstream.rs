//! The way to the gateway: an address we may talk to, by TCP or TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::side::{Side, Stream};
use crate::shell::config::address;

/// Where one listener passes to.
pub struct Upstream {
    host: String,
    port: u16,
    /// What the Host header says: the port only where the scheme does not imply it.
    pub authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    allow_private: bool,
    loopback: bool,
    connect_timeout: Duration,
}

/// Why the gateway could not be reached. Nothing of a request was sent.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    #[error("its name has no address we may talk to")]
    NoAddress,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no connection within {0} ms")]
    TimeOut(u128),
}

impl Upstream {
    /// TLS is checked against the roots of this machine, as everywhere else in the daemon.
    pub fn new(url: &Url, allow_private: bool, connect_timeout: Duration) -> Result<Upstream, rustls::Error> {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match url.scheme() {
            "https" => {
                let mut config = ClientConfig::with_platform_verifier()?;
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| rustls::Error::General("the host is no name TLS can check".into()))?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
            _ => None,
        };
        let authority = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        Ok(Upstream {
            port: url.port_or_known_default().unwrap_or(443),
            authority,
            tls,
            allow_private,
            loopback: address::is_loopback(url),
            connect_timeout,
            host,
        })
    }

    pub async fn connect(&self) -> Result<Side, Unreached> {
        let limit = self.connect_timeout;
        timeout(limit, self.open()).await.unwrap_or(Err(Unreached::TimeOut(limit.as_millis())))
    }

    async fn open(&self) -> Result<Side, Unreached> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let allowed: Vec<SocketAddr> =
            found.filter(|at| address::may_reach(at.ip(), self.allow_private, self.loopback)).collect();
        if allowed.is_empty() {
            return Err(Unreached::NoAddress);
        }
        let stream = TcpStream::connect(allowed.as_slice()).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
        };
        Ok(Side::new(stream))
    }
}
