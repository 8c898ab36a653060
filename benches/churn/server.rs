//! The pods, in a process of their own: the testkit's cluster, driven line by line over stdin and
//! stdout.
//!
//! | command | answer |
//! |---|---|
//! | `start clean`, `start drained` | the address of a new pod with this [`Ending`] |
//! | `stop ADDRESS` | `ok`: the pod has begun to stop |
//! | `kill ADDRESS` | `ok`: the process is dead, and its sockets are closed by the kernel |
//! | `opened` | the number of connections that all pods have accepted since the last `clear` |
//! | `clear` | `ok`: no pod is left |
//!
//! The times of changes are in `case`. The testkit's DNS is not used: all implementations follow
//! the same list.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use headless_benches::harness::one_thread;
use headless_testkit::{Address, App, Cluster, Pod, Termination, Workload};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The first argument that makes this program the server.
pub const ARGUMENT: &str = "serve-the-pods-of-churn";
/// The time for which a `drained` pod serves after it was told to stop.
const DRAIN: Duration = Duration::from_millis(100);
/// The time that a `clean` pod may take for the requests that it has.
const GRACE: Duration = Duration::from_secs(2);
const PORT: u16 = 8080;

/// The end of a pod that is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It closes its listening socket and idle connections at once, and finishes its requests.
    Clean,
    /// It accepts for [`DRAIN`] more, one request per connection, and then closes.
    Drained,
}

impl Ending {
    const ALL: [Self; 2] = [Self::Clean, Self::Drained];

    const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Drained => "drained",
        }
    }

    const fn termination(self) -> Termination {
        let (stop_accepting, grace) = match self {
            Self::Clean => (true, GRACE),
            Self::Drained => (false, DRAIN),
        };
        Termination {
            pre_stop: Duration::ZERO,
            stop_accepting,
            grace,
        }
    }
}

/// Serves until stdin ends.
pub fn serve() {
    one_thread().block_on(async {
        let mut pods = Pods::new().await;
        let mut commands = BufReader::new(tokio::io::stdin()).lines();
        while let Some(command) = commands.next_line().await.unwrap() {
            println!("{}", pods.execute(&command).await);
        }
    });
}

struct Pods {
    /// One workload per ending, because a workload defines the end of its pods.
    workloads: [Workload; 2],
    /// All pods started since the last `clear`, with their counts of accepted connections.
    started: HashMap<SocketAddr, (usize, Pod)>,
    count: usize,
    _cluster: Cluster,
}

impl Pods {
    async fn new() -> Self {
        let cluster = Cluster::builder().start().await.unwrap();
        let workload = async |ending: Ending| {
            let workload = cluster.deployment(ending.name()).port("http", PORT).replicas(0);
            let workload = workload.app(App::http()).termination(ending.termination());
            workload.start().await.unwrap()
        };
        let [clean, drained] = Ending::ALL;
        Self {
            workloads: [workload(clean).await, workload(drained).await],
            started: HashMap::new(),
            count: 0,
            _cluster: cluster,
        }
    }

    async fn execute(&mut self, command: &str) -> String {
        match command.split_once(' ').unwrap_or((command, "")) {
            ("start", ending) => self.start(ending).await.to_string(),
            ("stop", address) => {
                let (workload, pod) = self.pod(address);
                workload.terminate(pod.name()).unwrap();
                "ok".to_owned()
            }
            ("kill", address) => {
                let (workload, pod) = self.pod(address);
                workload.evict(pod.name()).await.unwrap();
                "ok".to_owned()
            }
            ("opened", _) => {
                let accepted = self.started.values().map(|(_, pod)| pod.stats().accepted);
                accepted.sum::<u64>().to_string()
            }
            ("clear", _) => {
                for workload in &self.workloads {
                    for pod in workload.pods() {
                        // An error: it has just ended by itself.
                        let _ = workload.evict(pod.name()).await;
                    }
                }
                self.started.clear();
                "ok".to_owned()
            }
            _ => panic!("not a command: `{command}`"),
        }
    }

    async fn start(&mut self, ending: &str) -> SocketAddr {
        let workload = Ending::ALL.iter().position(|known| known.name() == ending).unwrap();
        let name = format!("pod-{}", self.count);
        self.count += 1;
        let pod = self.workloads[workload].start_pod(&name, Address::New).await.unwrap();
        let address = pod.addr();
        self.started.insert(address, (workload, pod));
        address
    }

    fn pod(&self, address: &str) -> (&Workload, &Pod) {
        let address: SocketAddr = address.parse().unwrap();
        let (workload, pod) = &self.started[&address];
        (&self.workloads[*workload], pod)
    }
}

/// The process of the pods, seen from the client.
pub struct Servers {
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    process: Child,
}

impl Servers {
    /// Starts the process by `command`, which runs this program with [`ARGUMENT`].
    pub fn start(command: std::process::Command) -> Self {
        let mut command = Command::from(command);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        Self {
            commands: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
        }
    }

    /// Returns its id, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.process.id()
    }

    /// Starts a pod.
    pub async fn start_pod(&mut self, ending: Ending) -> SocketAddr {
        self.send(&format!("start {}", ending.name())).await.parse().unwrap()
    }

    /// Tells a pod to stop. The first poll sends the command.
    pub async fn stop(&mut self, pod: SocketAddr) {
        self.send(&format!("stop {pod}")).await;
    }

    /// Kills a pod. The first poll sends the command; the pod is dead when this returns.
    pub async fn kill(&mut self, pod: SocketAddr) {
        self.send(&format!("kill {pod}")).await;
    }

    /// Returns the number of connections opened since the last [`clear`](Self::clear).
    pub async fn opened(&mut self) -> u64 {
        self.send("opened").await.parse().unwrap()
    }

    /// Ends all pods.
    pub async fn clear(&mut self) {
        self.send("clear").await;
    }

    async fn send(&mut self, command: &str) -> String {
        self.commands
            .write_all(format!("{command}\n").as_bytes())
            .await
            .unwrap();
        self.answers
            .next_line()
            .await
            .unwrap()
            .expect("the server process runs")
    }
}
