//! Rows as tables: one table per case, one line per implementation, and in each cell the ratio to
//! the baseline. Printed by a benchmark, and part of the page of all results.

use std::fmt;

use super::results::Row;

/// The figures of one case, as text.
#[derive(Debug)]
pub struct Table {
    /// The case, and the metrics with their units.
    pub head: Vec<String>,
    /// The name of an implementation, and its figures.
    pub lines: Vec<Vec<String>>,
}

/// Returns one table per case, in the order in which cases, implementations and metrics first
/// appear.
pub fn tables(rows: &[Row], baseline: &str) -> Vec<Table> {
    let cases = distinct(rows.iter().map(|row| row.case.as_str()));
    let table = |case: &str| {
        let rows: Vec<_> = rows.iter().filter(|row| row.case == case).collect();
        let metrics = distinct(rows.iter().map(|row| row.metric.as_str()));
        let find = |name: &str, metric: &str| {
            rows.iter()
                .find(|row| row.implementation == name && row.metric == metric)
        };
        let cell = |name: &str, metric: &str| {
            let base = find(baseline, metric).map(|row| row.value);
            find(name, metric).map_or(String::new(), |row| cell(row, base))
        };
        let head = metrics.iter().map(|metric| {
            match rows
                .iter()
                .find(|row| row.metric == *metric)
                .map_or("", |row| &row.unit)
            {
                "" => (*metric).to_owned(),
                unit => format!("{metric} [{unit}]"),
            }
        });
        let line = |name: &str| {
            let cells = metrics.iter().map(|metric| cell(name, metric));
            std::iter::once(name.to_owned()).chain(cells).collect()
        };
        let names = distinct(rows.iter().map(|row| row.implementation.as_str()));
        Table {
            head: std::iter::once(case.to_owned()).chain(head).collect(),
            lines: names.into_iter().map(line).collect(),
        }
    };
    cases.into_iter().map(table).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.head).chain(&self.lines);
        let width = |column: usize| lines().map(|line| line[column].chars().count()).max();
        let widths: Vec<_> = (0..self.head.len()).map(|column| width(column).unwrap_or(0)).collect();
        for line in lines() {
            write!(f, "{:<1$}", line[0], widths[0])?;
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }
}

/// The value, its ratio to the baseline, and half the width of the middle half.
fn cell(row: &Row, baseline: Option<f64>) -> String {
    let mut text = number(row.value);
    if let Some(baseline) = baseline.filter(|value| value.is_normal()) {
        text += &format!(" {:>6}x", number(row.value / baseline));
    }
    if let Some((low, high)) = row.low.zip(row.high).filter(|_| row.value.is_normal()) {
        text += &format!(" ±{:>3.0}%", 50.0 * (high - low) / row.value);
    }
    text
}

/// Three digits, or more before the point.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Each once, in the order in which they first appear.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(implementation: &str, case: &str, metric: &str, value: f64) -> Row {
        let [implementation, case, metric, unit] = [implementation, case, metric, "ns"].map(str::to_owned);
        Row {
            implementation,
            case,
            metric,
            value,
            unit,
            low: None,
            high: None,
        }
    }

    #[test]
    fn each_case_is_an_aligned_table_of_ratios_to_its_own_baseline() {
        let mut rows = vec![
            row("baseline", "alone", "time", 10.0),
            row("ours", "alone", "time", 25.0),
            row("baseline", "crowd", "time", 100.0),
            row("ours", "crowd", "time", 50.0),
        ];
        (rows[1].low, rows[1].high) = (Some(20.0), Some(30.0));
        let text: Vec<_> = tables(&rows, "baseline").iter().map(Table::to_string).collect();
        let alone = "alone              time [ns]
baseline        10.0   1.00x
ours      25.0   2.50x ± 20%

";
        assert_eq!(text[0], alone);
        assert!(text[1].contains("ours      50.0   0.50x"), "{}", text[1]);
    }

    #[test]
    fn a_missing_figure_is_an_empty_cell_and_a_baseline_of_zero_has_no_ratio() {
        let rows = [
            row("baseline", "alone", "allocations", 0.0),
            row("baseline", "alone", "time", 10.0),
            row("ours", "alone", "allocations", 2.0),
        ];
        let table = &tables(&rows, "baseline")[0];
        assert_eq!(table.lines[1], ["ours", "2.00", ""]);
    }
}
