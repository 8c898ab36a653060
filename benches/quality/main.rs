//! How well requests are spread: our policies in a simulation, compared with models of others and
//! an oracle.
//!
//! Time is virtual and every run follows from its seed, so all figures repeat exactly, on every
//! machine. The policies are the real ones, driven as the balancer drives them. The simulation is
//! `headless_benches::sim`, which has its own tests.
//!
//! `cargo xtask bench quality`

mod even;
mod failing;
mod implementation;
mod slow;
mod supermarket;

use headless_benches::harness::{Args, Report};

use implementation::{BASELINE, SEEDS};

fn main() {
    let args = Args::from_env(&[]);
    println!(
        "seeds 0 to {}: a cell is the median of their runs, and half the width of their middle half",
        SEEDS - 1
    );
    println!(
        "baseline: in the supermarket, hand-written draws; else an oracle, which knows the remaining work and the speed of all pods"
    );
    println!("slow pod: if its load is above 1, its queue grows without end, and p99 depends on the length of the run");
    println!();
    let mut report = Report::new("quality", BASELINE);
    supermarket::measure(&mut report, args.quick);
    slow::measure(&mut report, args.quick);
    even::one_client(&mut report, args.quick);
    even::many_clients(&mut report, args.quick);
    even::one_caller(&mut report);
    failing::measure(&mut report, args.quick);
    report.finish(&args);
}
