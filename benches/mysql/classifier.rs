//! The statement classifier: the cost of a classification, and of finding it in the cache. No
//! server.

use std::hint::black_box;

use headless_benches::harness::{Callgrind, Operations, Report, Spread, interleaved, ns_per_operation};
use headless_mysql::statement::{Dialect, StatementCache, classify};

/// The text is read each time.
pub const CLASSIFIED: &str = "classifier, uncached";
/// The classification is found in the cache.
pub const CACHED: &str = "classifier, cached";
const TIME: &str = "time";
/// The longest statement of the target, in bytes.
const USUAL: usize = 200;

/// A statement of one shape.
struct Statement {
    /// With its length.
    name: String,
    text: String,
}

fn statements() -> Vec<Statement> {
    let numbers: Vec<String> = (0..300).map(|number| (number * 977).to_string()).collect();
    let long = format!("SELECT id, name, price FROM item WHERE id IN ({})", numbers.join(", "));
    [
        ("point select", "SELECT c FROM item WHERE id = ?"),
        (
            "ORM select",
            "SELECT `users`.`id`, `users`.`name`, `users`.`email`, `users`.`created_at` FROM `users` WHERE `users`.`active` = ? ORDER \
             BY `users`.`id` DESC BASELINE 20",
        ),
        (
            "join",
            "SELECT o.id, o.total, c.name FROM orders AS o JOIN customers AS c ON c.id = o.customer_id WHERE o.state = 'open' AND \
             o.created > NOW() - INTERVAL 1 DAY",
        ),
        ("insert", "INSERT INTO orders (customer_id, item_id, n, note) VALUES (?, ?, ?, ?)"),
        ("update", "UPDATE stock SET n = n - ?, changed = NOW() WHERE item_id = ? AND n >= ?"),
        (
            "select for update",
            "SELECT id, payload FROM jobs WHERE state = 'new' ORDER BY id BASELINE 1 FOR UPDATE SKIP LOCKED",
        ),
        (
            "with comments",
            "/* cart#show, request 7f3a */ SELECT id, n FROM cart -- the visitor's\nWHERE visitor = ? # by index\nLIMIT 1",
        ),
        ("long select", &long),
    ]
    .map(|(name, text)| Statement {
        name: format!("{name}, {} bytes", text.len()),
        text: text.to_owned(),
    })
    .into()
}

impl Statement {
    /// Classifies the statement this number of times.
    fn run(&self, case: &str, cache: &StatementCache, operations: usize) {
        for _ in 0..operations {
            let text = black_box(self.text.as_str());
            let classification = match case {
                CACHED => cache.classify(text),
                _ => classify(text, cache.dialect()),
            };
            black_box(classification);
        }
    }
}

/// Measures times and, with callgrind, instructions.
pub fn measure(report: &mut Report, callgrind: Option<Callgrind>, rounds: usize, operations: usize, counted: usize) {
    let cache = StatementCache::new(Dialect::UTF8);
    let mut statements = statements();
    for case in [CLASSIFIED, CACHED] {
        let times = interleaved(rounds, &mut statements, |it| {
            ns_per_operation(operations, || it.run(case, &cache, operations))
        });
        for (statement, times) in statements.iter().zip(times) {
            let name = &statement.name;
            report.add_spread(name, case, TIME, Spread::of(times), "ns");
            if let Some(callgrind) = callgrind {
                callgrind.report(report, name, case, case, counted);
            }
        }
    }
}

/// Classifies under callgrind. Returns `false` for another case.
pub fn run(operations: &Operations) -> bool {
    let cache = StatementCache::new(Dialect::UTF8);
    let statements = statements();
    let asked = statements.iter().find(|it| it.name == operations.implementation);
    if let Some(statement) = asked {
        statement.run(&operations.case, &cache, operations.count);
    }
    asked.is_some()
}

/// Returns the median of the slowest usual statement, in nanoseconds.
pub fn slowest(report: &Report, case: &str) -> Option<f64> {
    let usual = statements().into_iter().filter(|it| it.text.len() <= USUAL);
    usual
        .map(|it| report.value(&it.name, case, TIME))
        .reduce(|a, b| Some(a?.max(b?)))?
}
