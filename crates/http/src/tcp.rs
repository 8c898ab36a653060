//! [`TcpOptions`]: what is asked of the kernel for each connection, so that one whose other side
//! has vanished ends by itself.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// The options of each TCP connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpOptions {
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    /// The keep-alive time is that of Go's `net`, the user timeout that of gRPC (A18).
    fn default() -> Self {
        Self {
            keep_alive: Some(Duration::from_secs(15)),
            user_timeout: Some(Duration::from_secs(20)),
        }
    }
}

impl TcpOptions {
    /// Refuses what the kernel would refuse, or round to nothing.
    pub(crate) fn check(&self) -> Result<(), String> {
        let second = Duration::from_secs(1);
        for (name, time, most) in [
            ("tcp_keep_alive", self.keep_alive, LONGEST_KEEP_ALIVE),
            ("tcp_user_timeout", self.user_timeout, LONGEST_USER_TIMEOUT),
        ] {
            if let Some(time) = time.filter(|time| !(second..=most).contains(time)) {
                return Err(format!(
                    "`{name}` is {time:?}; it must be from 1 s to {most:?}, or `None`"
                ));
            }
        }
        Ok(())
    }

    /// Opens a connection with these options.
    pub(crate) async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        // WHY: not every kernel knows them all (gVisor), and a connection without them works.
        if let Err(error) = self.set(SockRef::from(&stream)) {
            tracing::debug!(%addr, %error, "TCP option not set");
        }
        Ok(stream)
    }

    fn set(&self, socket: SockRef<'_>) -> io::Result<()> {
        if let Some(idle) = self.keep_alive {
            let probes = TcpKeepalive::new().with_time(idle);
            socket.set_tcp_keepalive(&probes.with_interval(PROBE_INTERVAL).with_retries(PROBES))?;
        }
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(self.user_timeout)?;
        Ok(())
    }
}

/// Between the probes, and how many may be lost.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

/// `MAX_TCP_KEEPIDLE` of Linux.
const LONGEST_KEEP_ALIVE: Duration = Duration::from_secs(32_767);

/// Linux counts milliseconds in 32 bits, with a sign.
const LONGEST_USER_TIMEOUT: Duration = Duration::from_secs(2_147_483);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_socket_has_the_options() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let longest = TcpOptions {
            keep_alive: Some(LONGEST_KEEP_ALIVE),
            user_timeout: Some(LONGEST_USER_TIMEOUT),
        };
        for options in [TcpOptions::default(), longest] {
            options.check().unwrap();
            let stream = options.connect(addr).await.unwrap();
            let socket = SockRef::from(&stream);
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            assert_eq!(Some(socket.tcp_keepalive_time().unwrap()), options.keep_alive);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_INTERVAL);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
            assert_eq!(socket.tcp_user_timeout().unwrap(), options.user_timeout);
        }
        let none = TcpOptions {
            keep_alive: None,
            user_timeout: None,
        };
        let stream = none.connect(addr).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(!socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }

    #[test]
    fn what_the_kernel_cannot_count_is_refused_by_name() {
        for (name, time) in [
            ("tcp_keep_alive", Duration::ZERO),
            ("tcp_keep_alive", Duration::from_millis(999)),
            ("tcp_keep_alive", Duration::from_secs(32_768)),
            ("tcp_user_timeout", Duration::from_millis(1)),
            ("tcp_user_timeout", Duration::MAX),
        ] {
            let mut options = TcpOptions::default();
            match name {
                "tcp_keep_alive" => options.keep_alive = Some(time),
                _ => options.user_timeout = Some(time),
            }
            let problem = options.check().unwrap_err();
            assert!(
                problem.starts_with(&format!("`{name}` is {time:?}; it must be from 1 s to ")),
                "{problem}"
            );
        }
    }
}
