//! The project's commands: `cargo xtask test`, `lint`, `ci`, `bench`, `counts`, `soak`, `foreign`,
//! `mysql`, and the steps of `lint` alone.
//!
//! Here: dispatch and exit codes. What is run lives in one file per command, how it is run in
//! `steps`. Standard library only, so that the first command in a fresh clone starts at once.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

mod args;
mod bench;
mod cargo;
mod counts;
mod dependencies;
mod documentation;
mod features;
mod foreign;
mod lint;
mod mysql;
mod packages;
mod soak;
mod steps;
mod test;
mod tools;

use std::process::ExitCode;

use args::Command;
use steps::Run;

fn main() -> ExitCode {
    let command = match Command::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    let mut run = Run::new(command.keeps_going());
    match command {
        Command::Help => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Command::Mysql { request } => return mysql::run(&request),
        Command::Test { .. } => test::run(&mut run),
        Command::Lint { .. } => lint::run(&mut run),
        Command::Ci { .. } => {
            lint::run(&mut run);
            test::run(&mut run);
        }
        Command::Soak { .. } => soak::run(&mut run),
        Command::Features => features::run(&mut run),
        Command::PublicTypes => documentation::public_types(&mut run),
        Command::Docs => documentation::pages(&mut run),
        Command::Package => packages::run(&mut run),
        Command::Deny => dependencies::deny(&mut run),
        Command::Semver => dependencies::semver(&mut run),
        Command::Foreign => foreign::run(&mut run),
        Command::Counts { rest } => counts::run(&mut run, &rest),
        Command::Bench { name, json, rest } => bench::run(&mut run, name.as_deref(), json.as_deref(), &rest),
    }
    if run.summary() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
