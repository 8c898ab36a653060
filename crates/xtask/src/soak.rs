//! `cargo xtask soak`: the scenarios whose length is a variable, at their full length. Each test's
//! head says what it asserts; `cargo xtask test` runs the same tests for seconds.

use crate::cargo::cargo;
use crate::foreign;
use crate::steps::Run;

pub(crate) fn run(run: &mut Run) {
    for scenario in SCENARIOS {
        let mut test = cargo(["test", "--release", "-p", scenario.package]);
        test.args(["--test", scenario.test, "--", "--nocapture", "--test-threads=1"]);
        test.env(scenario.variable, scenario.length);
        run.step(scenario.test, &mut test);
    }
    foreign::run(run);
}

struct Scenario {
    package: &'static str,
    test: &'static str,
    variable: &'static str,
    length: &'static str,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        package: "headless-http",
        test: "abrupt",
        variable: "HEADLESS_REQUESTS",
        length: "1000000",
    },
    Scenario {
        package: "headless-http",
        test: "reuse",
        variable: "HEADLESS_REQUESTS",
        length: "100000",
    },
    Scenario {
        package: "headless-tests",
        test: "rolling_restart",
        variable: "HEADLESS_RESTART_REQUESTS",
        length: "100000",
    },
    Scenario {
        package: "headless-tests",
        test: "soak",
        variable: "HEADLESS_SOAK_SECONDS",
        length: "600",
    },
    Scenario {
        package: "headless-tests",
        test: "pool_soak",
        variable: "HEADLESS_SOAK_SECONDS",
        length: "600",
    },
];
