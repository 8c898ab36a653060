//! A proxy for one run, if there is one on the `PATH`. It has settings of the benchmark, and ends
//! with the value.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::TcpStream;

use super::cpu::succeeds;

/// A kind of proxy.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// HAProxy.
    HaProxy,
    /// nginx.
    Nginx,
}

impl Program {
    /// Returns whether the program is on the `PATH`.
    pub fn is_installed(self) -> bool {
        succeeds(Command::new(self.name()).arg("-v"))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::HaProxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    /// Returns the arguments that make it read [`SETTINGS`].
    const fn args(self) -> &'static [&'static str] {
        match self {
            Self::HaProxy => &["-f", SETTINGS],
            Self::Nginx => &["-p", ".", "-c", SETTINGS],
        }
    }
}

/// A running proxy, with its folder.
pub struct Proxy {
    child: Child,
    folder: PathBuf,
}

impl Proxy {
    /// Starts a program with the settings that `settings` returns for its folder.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(program: Program, settings: impl FnOnce(&Path) -> String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (name, count) = (program.name(), COUNT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(format!("bench-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(SETTINGS), settings(&folder)).unwrap();
        let mut command = Command::new(name);
        command.args(program.args()).current_dir(&folder);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, folder }
    }

    /// Waits until the proxy listens on `address`.
    pub async fn listens_on(&self, address: SocketAddr) {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Errors: it has ended by itself, or the folder is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Returns distinct addresses of loopback that are free.
///
/// # Panics
///
/// If there is none.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    // All stay open until all are known, so that they differ.
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// The file of the settings, in the folder.
const SETTINGS: &str = "settings.conf";
