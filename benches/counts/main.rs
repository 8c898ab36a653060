//! Instructions per pick and per acquire, compared with recorded counts: the check of the hot
//! path's cost. Times would need an idle machine, instructions do not.
//!
//! `cargo xtask counts [--record]`, and a step of `cargo xtask test`. `tests/alloc.rs` asserts that
//! the hot path allocates nothing.

mod record;

use std::process::ExitCode;

use headless::Outcome;
use headless::policy::{Policy, PowerOfTwo, RoleAware, RoundRobin};
use headless_benches::harness::{Args, Callgrind, Own};
use headless_benches::pods;
use tokio::runtime::Builder;

use record::{Compiler, Record};

const OWN: &[Own] = &[Own {
    name: "--record",
    value: None,
    help: "record what is counted",
}];

/// The policies that pick.
const POLICIES: [&str; 4] = [POWER_OF_TWO, LATENCY, ROUND_ROBIN, ROLE_AWARE];
const POWER_OF_TWO: &str = "power of two";
const LATENCY: &str = "power of two by latency";
const ROUND_ROBIN: &str = "round robin";
const ROLE_AWARE: &str = "role-aware, power of two";
/// A pick by the default policy, with an idle connection.
const ACQUIRE: &str = "acquire";
const PODS: [usize; 2] = [3, 100];

/// Enough that the random choice of pods makes no difference.
const OPERATIONS: usize = 50_000;
const FEW: usize = 5_000;

/// The exit code when nothing was compared, as in automake's tests; `cargo xtask` knows it.
const LEFT_OUT: u8 = 77;

fn main() -> ExitCode {
    let args = Args::from_env(OWN);
    if let Some(asked) = &args.operations {
        operate(
            &asked.implementation,
            asked.case.parse().expect("a number of pods"),
            asked.count,
        );
        return ExitCode::SUCCESS;
    }
    let Some(callgrind) = Callgrind::find() else {
        return ExitCode::from(LEFT_OUT);
    };
    let operations = if args.quick { FEW } else { OPERATIONS };
    match counted(callgrind, operations).and_then(|now| compare(&now, &args)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn counted(callgrind: Callgrind, operations: usize) -> Result<Record, String> {
    let mut now = Record::new(Compiler::here()?);
    for what in POLICIES.into_iter().chain([ACQUIRE]) {
        for pods in PODS {
            // This policy reads the clock, so its branches depend on how busy the machine is: the
            // least of several counts is the one that repeats.
            let repeats = if what == LATENCY { 5 } else { 1 };
            let mut count = f64::INFINITY;
            for _ in 0..repeats {
                count = count.min(callgrind.per_operation(what, &pods.to_string(), operations)?);
            }
            let what = if what == ACQUIRE {
                what.to_owned()
            } else {
                format!("pick, {what}")
            };
            now.add(format!("{what}, {pods} pods"), count);
        }
    }
    Ok(now)
}

fn compare(now: &Record, args: &Args) -> Result<ExitCode, String> {
    for file in &args.json {
        now.write(file)?;
    }
    let file = record::file();
    if args.has("--record") {
        now.write(&file)?;
        println!("{now}\nrecorded in {}", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let recorded = Record::read(&file)?;
    if recorded.compiler != now.compiler {
        println!("{now}\nNOT COMPARED: recorded with {}.", recorded.compiler);
        println!("To have it compared with this compiler: cargo xtask counts --record");
        return Ok(ExitCode::from(LEFT_OUT));
    }
    let (table, off) = recorded.against(now);
    println!("{table}");
    match off {
        0 => Ok(ExitCode::SUCCESS),
        _ => Err(format!(
            "{off} of these are not as recorded. If that is intended: cargo xtask counts --record (for fewer instructions, too: with an \
             outdated record, the gain could be lost again unnoticed)"
        )),
    }
}

/// Repeats an operation `count` times.
fn operate(what: &str, n: usize, count: usize) {
    let policy: Box<dyn Policy> = match what {
        ACQUIRE | POWER_OF_TWO => Box::new(PowerOfTwo::default()),
        LATENCY => Box::new(PowerOfTwo::latency()),
        ROUND_ROBIN => Box::new(RoundRobin::default()),
        ROLE_AWARE => Box::new(RoleAware::new(PowerOfTwo::default())),
        _ => panic!("`{what}` is not counted here"),
    };
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (balancer, route) = pods::balancer(n, policy).await;
        // A pod counts as unhealthy until its first connection.
        pods::connect(&balancer, route, 1).await;
        match what {
            ACQUIRE => {
                for _ in 0..count {
                    balancer.acquire(route).await.unwrap().finish(Outcome::Success);
                }
            }
            _ => (0..count).for_each(|_| balancer.pick(route).unwrap().finish(Outcome::Success)),
        }
    });
}
