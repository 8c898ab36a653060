//! How each server is started: its program, its settings, and the signal that asks it to finish.
//!
//! The programs themselves are in `servers/`. Must not live here: what a server can do
//! (`servers.rs`).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use headless_tests::support::server::program;
use rustix::process::Signal;

/// The bytes of the answer to `/big` and `/stream`.
pub const BIG: usize = 1 << 20;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Nginx {
        /// In its `http` block.
        settings: &'static str,
        /// After its address.
        listen: &'static str,
    },
    /// With this after its address.
    Haproxy(&'static str),
    Apache,
    Gunicorn,
    Uvicorn,
    /// With this module.
    Node(&'static str),
    Go,
    Jetty,
    /// A server in Rust, of this library.
    Rust(&'static str),
}

/// Where one process of a server is to run.
#[derive(Clone, Debug)]
pub struct Site {
    pub addr: SocketAddr,
    /// Its own directory, which exists.
    pub dir: PathBuf,
    /// How long idle connections stay open, in ms, where that is set.
    pub idle_ms: Option<u32>,
    /// A certificate and its key, where TLS is spoken.
    pub tls: Option<[PathBuf; 2]>,
}

impl Site {
    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn ip(&self) -> String {
        self.addr.ip().to_string()
    }

    fn port(&self) -> String {
        self.addr.port().to_string()
    }

    /// The arguments that the small programs of `servers/` share.
    fn args(&self) -> Vec<String> {
        let tls = self.tls.iter().flatten();
        let mut args = vec![self.ip(), self.port()];
        args.extend(
            [&self.log()]
                .into_iter()
                .chain(tls)
                .map(|path| path.display().to_string()),
        );
        args
    }

    /// Fills the marks of a template, and writes it into the directory.
    fn configure(&self, template: &str, marks: &[(&str, &str)]) -> PathBuf {
        let (dir, log) = (self.dir.display().to_string(), self.log().display().to_string());
        let common = [
            ("@DIR@", &*dir),
            ("@LOG@", &*log),
            ("@IP@", &self.ip()),
            ("@PORT@", &self.port()),
        ];
        let fill = |text: String, (mark, value): &(&str, &str)| text.replace(mark, value);
        let text = marks.iter().fold(template.to_owned(), fill);
        let file = self.dir.join("conf");
        fs::write(&file, common.iter().fold(text, fill)).unwrap();
        file
    }
}

impl Program {
    /// Returns the signal that asks the server to finish what it has.
    pub fn graceful(self) -> Signal {
        match self {
            Self::Nginx { .. } => Signal::QUIT,
            Self::Haproxy(_) => Signal::USR1,
            Self::Apache => Signal::WINCH,
            _ => Signal::TERM,
        }
    }

    /// Returns the name of the file in which it writes a line for each request.
    pub fn log(self) -> &'static str {
        match self {
            // It has no files: what it prints is the log.
            Self::Haproxy(_) => "out",
            _ => "log",
        }
    }

    /// Returns what is missing for it.
    pub fn missing(self) -> Option<String> {
        let main = (self == Self::Jetty).then(|| built("jetty/Main.class"));
        let mut needed = [self.path()].into_iter().chain(main);
        needed
            .find(|path| !path.is_file())
            .map(|path| path.display().to_string())
    }

    /// Returns the file that is executed, or where it should be.
    fn path(self) -> PathBuf {
        let installed = |name| program(name).unwrap_or_else(|| PathBuf::from(name));
        match self {
            Self::Nginx { .. } => installed("nginx"),
            Self::Haproxy(_) => installed("haproxy"),
            Self::Apache => installed("apache2"),
            Self::Jetty => installed("java"),
            Self::Node(_) => installed("node"),
            Self::Gunicorn => built("venv/bin/gunicorn"),
            Self::Uvicorn => built("venv/bin/uvicorn"),
            Self::Go => built("go"),
            Self::Rust(_) => PathBuf::from(env!("CARGO_BIN_EXE_foreign_rust")),
        }
    }

    /// Returns the command of one process.
    pub fn command(self, site: &Site) -> Command {
        let mut command = Command::new(self.path());
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/servers");
        command.env("LOG", site.log());
        if let Some(idle) = site.idle_ms {
            command.env("IDLE_MS", idle.to_string());
        }
        match self {
            Self::Nginx { settings, listen } => {
                fs::write(site.dir.join("big"), vec![b'x'; BIG]).unwrap();
                let idle = site.idle_ms.map(|idle| format!("keepalive_timeout {idle}ms;"));
                let settings = format!("{settings} {}", idle.unwrap_or_default());
                let tls = site.tls.as_ref().map(|[chain, key]| {
                    format!(
                        "ssl_certificate {}; ssl_certificate_key {};",
                        chain.display(),
                        key.display()
                    )
                });
                let listen = format!("{listen} {}", if tls.is_some() { "ssl" } else { "" });
                let marks = [
                    ("@SETTINGS@", &*settings),
                    ("@LISTEN@", &listen),
                    ("@TLS@", &tls.unwrap_or_default()),
                ];
                let file = site.configure(include_str!("servers/nginx.conf"), &marks);
                command.arg("-p").arg(&site.dir).arg("-c").arg(file);
            }
            Self::Haproxy(bind) => {
                fs::write(site.dir.join("id"), "%[req.hdr(x-id)] %[var(txn.length)]\n").unwrap();
                let idle = site.idle_ms.unwrap_or(10_000).to_string();
                let tls = site.tls.as_ref().map(|pem| {
                    let file = site.dir.join("identity.pem");
                    let texts = pem.each_ref().map(|path| fs::read_to_string(path).unwrap());
                    fs::write(&file, texts.concat()).unwrap();
                    format!("ssl alpn h2,http/1.1 crt {}", file.display())
                });
                // With TLS, the protocol is agreed on.
                let bind = tls.unwrap_or_else(|| bind.to_owned());
                let marks = [("@BIND@", &*bind), ("@IDLE@", &*idle)];
                let file = site.configure(include_str!("servers/haproxy.cfg"), &marks);
                command.arg("-f").arg(file);
            }
            Self::Apache => {
                fs::create_dir(site.dir.join("root")).unwrap();
                for (name, content) in [("id", APACHE_ID), ("early", "early"), ("big", &"x".repeat(BIG))] {
                    fs::write(site.dir.join("root").join(name), content).unwrap();
                }
                let idle = site.idle_ms.unwrap_or(5000).to_string();
                let tls = site.tls.as_ref().map(|[chain, key]| {
                    let (chain, key) = (chain.display(), key.display());
                    format!("SSLEngine on\nSSLCertificateFile {chain}\nSSLCertificateKeyFile {key}")
                });
                let marks = [
                    ("@IDLE@", &*idle),
                    ("@TLS@", &tls.unwrap_or_default()),
                    ("@MODULES@", "/usr/lib/apache2/modules"),
                ];
                let file = site.configure(include_str!("servers/apache.conf"), &marks);
                command.arg("-f").arg(file).arg("-DFOREGROUND");
            }
            Self::Jetty => {
                // Small pods, which start quickly.
                command.args([
                    "-Xmx128m",
                    "-XX:TieredStopAtLevel=1",
                    "-XX:+UseSerialGC",
                    "-Xshare:auto",
                    "-cp",
                ]);
                let jars = built("jetty");
                command
                    .arg(format!("{0}:{0}/*", jars.display()))
                    .arg("Main")
                    .args(site.args());
            }
            Self::Gunicorn => {
                command.args(["--workers", "2", "--threads", "1", "--worker-class", "sync"]);
                command.args(["--graceful-timeout", "20", "--worker-tmp-dir", "/dev/shm"]);
                command
                    .arg("--chdir")
                    .arg(sources)
                    .arg("--bind")
                    .arg(site.addr.to_string());
                if let Some([chain, key]) = &site.tls {
                    command.arg("--certfile").arg(chain).arg("--keyfile").arg(key);
                }
                command.arg("wsgi:app");
            }
            Self::Uvicorn => {
                command.args(["--no-access-log", "--http", "h11", "--loop", "asyncio"]);
                command.arg("--app-dir").arg(sources);
                if let Some([chain, key]) = &site.tls {
                    command.arg("--ssl-certfile").arg(chain).arg("--ssl-keyfile").arg(key);
                }
                command.args(["--host", &site.ip(), "--port", &site.port(), "asgi:app"]);
                if site.idle_ms.is_some() {
                    // It counts whole seconds.
                    command.args(["--timeout-keep-alive", "0"]);
                }
            }
            Self::Node(module) => {
                command.arg(sources.join("node.js")).arg(module).args(site.args());
            }
            Self::Go => {
                command.args(site.args());
            }
            Self::Rust(library) => {
                command.arg(library).args(site.args());
            }
        }
        command
    }
}

/// The page of Apache that tells the number of a request and the length of its body.
const APACHE_ID: &str = concat!(
    r#"<!--#echo var="HTTP_X_ID" --> "#,
    r#"<!--#if expr='-n v("CONTENT_LENGTH")' --><!--#echo var="CONTENT_LENGTH" --><!--#else -->0<!--#endif -->"#,
    "\n",
);

/// Where `cargo xtask` builds what is not installed with a package of the system.
fn built(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("foreign").join(name)
}
