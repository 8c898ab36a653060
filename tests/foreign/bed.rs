//! The pods of one server behind DNS, and a client of them.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headless::Discovery;
use headless_http::{Client, ClientBuilder, Pem, Tls, TlsProvider};
use headless_testkit::{App, Cluster, Error, Pod, Termination, Workload};
use headless_tests::support::resolution::{NAMESPACE, refresh_at, resolver};
use headless_tests::support::wait::until;

use crate::process::{Home, Processes};
use crate::program::Site;
use crate::servers::Server;

/// One second of the defaults of Kubernetes and of the client takes this long.
const SECOND: Duration = Duration::from_millis(100);

/// A StatefulSet `web` whose pods are processes of one server.
pub struct Bed {
    pub server: Server,
    pub set: Workload,
    pub client: Client,
    pub processes: Processes,
    sites: Arc<Mutex<Vec<Site>>>,
    // Dropped in this order: the processes end, then their files are removed.
    _cluster: Cluster,
    _home: Home,
}

/// The settings of a bed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub replicas: u32,
    /// How long idle connections stay open, in ms.
    pub idle_ms: Option<u32>,
    pub speaks_tls: bool,
}

/// Returns pods that are as the server has them by itself.
pub fn plain(replicas: u32) -> Settings {
    Settings {
        replicas,
        ..Settings::default()
    }
}

impl Bed {
    /// Starts the pods and a client.
    ///
    /// `None` if the server is not installed and `HEADLESS_SKIP_FOREIGN=1` says that it need not
    /// be.
    pub async fn start(server: &Server, settings: Settings) -> Option<Self> {
        if let Some(missing) = server.program.missing() {
            let is_skipped = std::env::var("HEADLESS_SKIP_FOREIGN").is_ok_and(|skip| skip == "1");
            assert!(
                is_skipped,
                "{server}: there is no {missing}; cargo xtask test installs it; HEADLESS_SKIP_FOREIGN=1 skips the \
                 servers that are not there"
            );
            eprintln!("SKIPPED: {server}: there is no {missing}, and HEADLESS_SKIP_FOREIGN=1");
            return None;
        }
        let home = Home::create();
        let identity = settings.speaks_tls.then(|| Identity::create(&home.path));
        let (processes, sites) = (Processes::default(), Arc::<Mutex<Vec<Site>>>::default());
        let app = app(*server, settings, &home, identity.as_ref(), &processes, &sites);
        let cluster = Cluster::builder().namespace(NAMESPACE).ttl(30).start().await.unwrap();
        let set = cluster.stateful_set("web").service("web").port("http", 8080);
        let set = set.replicas(settings.replicas).parallel().app(app);
        let set = set.termination(Termination {
            // Twice the longest time between two lookups.
            pre_stop: SECOND * 10,
            grace: Duration::from_secs(25),
            ..Termination::default()
        });
        let set = match set.start().await {
            Ok(set) => set,
            Err(Error::ProgramEnded { pod, .. }) => panic!("{server}: {pod} ended: {}", printed(&sites)),
            Err(error) => panic!("{server}: {error}: {}", printed(&sites)),
        };
        let discovery = Discovery::builder(resolver(cluster.dns_addr(), "web:http")).refresh(refresh_at(SECOND));
        let builder = Client::builder(discovery.start().await.unwrap()).protocol(server.protocol);
        let builder = builder.request_timeout(Duration::from_secs(60));
        let client = match &identity {
            Some(identity) => builder.tls(identity.trust()),
            None => builder,
        };
        Some(Self {
            server: *server,
            set,
            client: ClientBuilder::build(client).unwrap(),
            processes,
            sites,
            _cluster: cluster,
            _home: home,
        })
    }

    /// Waits until the client has all pods that are ready, and each can be connected to.
    pub async fn has_all_pods(&self) {
        let stats = || self.client.balancer().stats();
        let has_all = || {
            let pods = self.set.ready();
            let stats = stats();
            let addresses = stats.endpoints.iter().map(|pod| pod.endpoint.addr());
            addresses.eq(pods.iter().map(Pod::addr)) && stats.endpoints.iter().all(|pod| !pod.unhealthy && !pod.warming)
        };
        until(has_all, || {
            format!("{}: all pods: {:#?}", self.server, stats().endpoints)
        })
        .await;
    }

    /// Returns the lines of the logs of all pods that there ever were.
    pub fn log(&self) -> Vec<String> {
        let sites = self.sites.lock().unwrap();
        let logs = sites.iter().map(|site| site.dir.join(self.server.program.log()));
        let logs = logs.map(|log| fs::read_to_string(log).unwrap_or_default());
        let lines = logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.collect()
    }

    /// Returns what the processes have printed.
    pub fn printed(&self) -> String {
        printed(&self.sites)
    }
}

fn printed(sites: &Mutex<Vec<Site>>) -> String {
    let sites = sites.lock().unwrap();
    let files = sites
        .iter()
        .flat_map(|site| ["out", "error.log"].map(|name| site.dir.join(name)));
    files.map(|file| fs::read_to_string(file).unwrap_or_default()).collect()
}

fn app(
    server: Server,
    settings: Settings,
    home: &Home,
    identity: Option<&Identity>,
    processes: &Processes,
    sites: &Arc<Mutex<Vec<Site>>>,
) -> App {
    let (home, processes, sites) = (home.path.clone(), processes.clone(), Arc::clone(sites));
    let tls = identity.map(|identity| identity.files.clone());
    App::external(move |pod: Pod| {
        let site = Site {
            addr: pod.addr(),
            dir: home.join(format!("{}.{}", pod.name(), pod.uid())),
            idle_ms: settings.idle_ms,
            tls: tls.clone(),
        };
        fs::create_dir(&site.dir).unwrap();
        let command = server.program.command(&site);
        sites.lock().unwrap().push(site.clone());
        processes.clone().run(pod, command, site.dir, server.program.graceful())
    })
}

/// A certificate in the Service's name, and the CA that has issued it.
struct Identity {
    ca: String,
    files: [PathBuf; 2],
}

impl Identity {
    fn create(home: &std::path::Path) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec![format!("web.{NAMESPACE}.svc.cluster.local")];
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let files = ["chain.pem", "key.pem"].map(|name| home.join(name));
        fs::write(&files[0], certificate.pem()).unwrap();
        fs::write(&files[1], key.serialize_pem()).unwrap();
        Self {
            ca: certificate.pem(),
            files,
        }
    }

    fn trust(&self) -> Tls {
        Tls::with_ca(Pem::from(&*self.ca)).provider(TlsProvider::Ring)
    }
}
