//! A HAProxy for one run, if there is one on the `PATH`. It has settings of the benchmark and ends
//! with the value.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::cpu::succeeds;

/// A running HAProxy with its folder.
pub struct HaProxy {
    child: Child,
    folder: PathBuf,
}

impl HaProxy {
    /// Returns whether there is a `haproxy` to run.
    pub fn is_installed() -> bool {
        succeeds(Command::new("haproxy").arg("-v"))
    }

    /// Starts HAProxy with the settings that `settings` returns for a folder.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(settings: impl FnOnce(&Path) -> String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("bench-haproxy-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("haproxy.cfg");
        std::fs::write(&config, settings(&folder)).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-f").arg(&config);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, folder }
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

impl Drop for HaProxy {
    fn drop(&mut self) {
        // Errors: it has ended by itself, or the folder is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
