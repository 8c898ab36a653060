//! How well requests are spread, not how fast they are sent: our policies in a simulation, against models of others and an oracle.
//!
//! Time is virtual and every run follows from its seed, so all figures repeat exactly, on any machine. The policies are the real ones,
//! driven as the balancer drives them. What is simulated is `headless_benches::sim`, which has tests of its own.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --bench quality`

mod contender;
mod even;
mod failing;
mod slow;
mod supermarket;

use headless_benches::harness::{Args, Report};

use contender::{LIMIT, SEEDS};

fn main() {
    let args = Args::from_env(&[]);
    println!(
        "seeds 0 to {}: a cell is the median of their runs, and half the width of their middle half",
        SEEDS - 1
    );
    println!(
        "limit: in the supermarket, the draws by hand; else an oracle, which knows the remaining work and the speed of all pods"
    );
    println!("slow pod: where its load is above 1, it falls behind for ever, and p99 tells how long the run was");
    println!();
    let mut report = Report::new("quality", LIMIT);
    supermarket::measure(&mut report, args.quick);
    slow::measure(&mut report, args.quick);
    even::one_client(&mut report, args.quick);
    even::many_clients(&mut report, args.quick);
    even::one_caller(&mut report);
    failing::measure(&mut report, args.quick);
    report.finish(&args);
}
