//! The demo's scaled time: set from outside, honoured only on a store the demo made and only where
//! every gateway is this machine. On such a store nothing happens before it is set.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::clock::{Clock, Stored, is_demo};
use crate::store::{Fault, View};
use crate::words::time::Timestamp;

/// Longest a caller waits for the store to be checked and opened.
const OPENING_WAIT: Duration = Duration::from_secs(8);
/// How often a waiting opener looks up.
const LOOK_UP: Duration = Duration::from_millis(20);

/// A time and how much faster than life it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub wall: Timestamp,
    pub scale: u32,
}

/// Why a setting is not honoured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("the scale must be 1 to 100000")]
    Scale,
    #[error("scaled time is for gateways on this machine: every base_url must be loopback")]
    NotLoopback,
    #[error("this store was not made by the demo")]
    NotADemoStore,
    #[error("the store is still being opened")]
    Opening,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Unknown,
    Production,
    Demo,
}

#[derive(Clone)]
pub struct DemoClock {
    clock: Clock,
    all_loopback: bool,
    kind: Arc<watch::Sender<Kind>>,
    setting: Arc<watch::Sender<Option<Setting>>>,
}

impl DemoClock {
    pub fn new(clock: Clock, all_loopback: bool) -> DemoClock {
        DemoClock {
            clock,
            all_loopback,
            kind: Arc::new(watch::Sender::new(Kind::Unknown)),
            setting: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Asked over the admin socket.
    pub async fn set(&self, setting: Setting) -> Result<(), Refused> {
        if !(1..=100_000).contains(&setting.scale) {
            return Err(Refused::Scale);
        }
        if !self.all_loopback {
            return Err(Refused::NotLoopback);
        }
        let mut kind = self.kind.subscribe();
        let known = tokio::time::timeout(OPENING_WAIT, kind.wait_for(|kind| *kind != Kind::Unknown)).await;
        match known.map_err(|_| Refused::Opening)?.map_err(|_| Refused::Opening)?.to_owned() {
            Kind::Demo => {}
            Kind::Production | Kind::Unknown => return Err(Refused::NotADemoStore),
        }
        // The opener takes the first setting; a running clock takes the next ones itself.
        if self.setting.send_replace(Some(setting)).is_some() {
            self.clock.set_scaled(None, setting.wall, setting.scale);
        }
        Ok(())
    }

    /// Whether the demo made the open store, and every gateway is this machine.
    pub fn is_demo(&self) -> bool {
        self.all_loopback && *self.kind.borrow() == Kind::Demo
    }

    /// Returns once a demo store waits for its clock; never on another store.
    pub async fn waits(&self) {
        let mut kind = self.kind.subscribe();
        if kind.wait_for(|kind| *kind == Kind::Demo).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Called by the writer's thread once a store is open: on a demo store, waits until the clock is
    /// set (or `given_up`).
    pub fn opened(&self, view: &dyn View, given_up: impl Fn() -> bool) -> Result<(), Fault> {
        if !is_demo(view)? {
            self.kind.send_replace(Kind::Production);
            return Ok(());
        }
        if !self.all_loopback {
            self.kind.send_replace(Kind::Production);
            return Err(Fault::Broken(
                "the store was made by the demo and a base_url is not loopback: use another store.path".into(),
            ));
        }
        self.kind.send_replace(Kind::Demo);
        let stored = Stored::read(view)?;
        loop {
            let setting = *self.setting.borrow();
            if let Some(setting) = setting {
                self.clock.set_scaled(stored.as_ref(), setting.wall, setting.scale);
                return Ok(());
            }
            if given_up() {
                return Err(Fault::Broken("stopped before the demo's clock was set".into()));
            }
            std::thread::sleep(LOOK_UP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::clock::DEMO_KEY;
    use crate::store::memory::Memory;
    use crate::store::{Draft, Table};

    fn setting() -> Setting {
        Setting { wall: "2026-03-01T12:00:00Z".parse().expect("a time"), scale: 600 }
    }

    fn demo_store() -> Memory {
        let mut store = Memory::default();
        let mut draft = Draft::new(&store).expect("a draft");
        draft.put(Table::Meta, DEMO_KEY.to_vec(), b"1".to_vec());
        let commit = draft.into_commit();
        store.commit(commit).expect("commits");
        store
    }

    #[tokio::test]
    async fn a_production_store_refuses_scaled_time() {
        let clock = Clock::new();
        let demo = DemoClock::new(clock.clone(), true);
        demo.opened(&Memory::default(), || false).expect("opens");
        assert_eq!(demo.set(setting()).await, Err(Refused::NotADemoStore));
        assert_eq!(clock.scale(), 1);
    }

    #[tokio::test]
    async fn gateways_elsewhere_refuse_scaled_time() {
        let demo = DemoClock::new(Clock::new(), false);
        assert_eq!(demo.set(setting()).await, Err(Refused::NotLoopback));
        assert!(demo.opened(&demo_store(), || false).is_err());
    }

    #[tokio::test]
    async fn a_demo_store_waits_for_its_clock() {
        let clock = Clock::new();
        let demo = DemoClock::new(clock.clone(), true);
        let opener = {
            let demo = demo.clone();
            tokio::task::spawn_blocking(move || demo.opened(&demo_store(), || false))
        };
        assert_eq!(demo.set(setting()).await, Ok(()));
        opener.await.expect("no panic").expect("opens");
        assert_eq!(clock.scale(), 600);
        assert!(clock.now().wall >= setting().wall && clock.now().wall < setting().wall + crate::words::time::days(1));
    }
}
