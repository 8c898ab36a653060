//! Which pod writes: [`decide`], from what the pods answered. Pure; they are asked by `probe.rs`.
//!
//! An ordinal is a hint for people and no proof (F1). A pod is the primary if it alone says that it
//! is writable, and has everything that the others have (F3, F4). In any other case no pod is the
//! primary: a write that waits is better than one on the wrong side.

use std::time::Duration;

use headless::Timestamp;

use crate::gtid::{Flavor, Position};
use crate::topology::{PodProblem, ServerIdentity, Writer, WriterProblem};

/// What a pod answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// When it was asked.
    pub(crate) at: Timestamp,
    /// When it had answered: what it says was so before.
    pub(crate) answered: Timestamp,
    pub(crate) flavor: Flavor,
    /// `Err`: why it takes no writes.
    pub(crate) writable: Result<(), String>,
    /// All that it has, wherever it came from.
    pub(crate) executed: Position,
    /// What it has of the primary's: what lag and tokens are compared with.
    pub(crate) replicated: Position,
    pub(crate) identity: ServerIdentity,
}

/// One pod's answers, as the decision needs them.
#[derive(Clone, Debug)]
pub(crate) struct PodSamples<'a> {
    pub(crate) name: &'a str,
    /// The last answers, the newest last. `Err`: why there is none that counts.
    pub(crate) samples: Result<&'a [Sample], &'a str>,
}

impl<'a> PodSamples<'a> {
    fn newest(&self) -> Option<&'a Sample> {
        self.samples.ok()?.last()
    }

    fn oldest(&self) -> Option<&'a Sample> {
        self.samples.ok()?.first()
    }

    /// The last answer that was there when the writer was asked.
    ///
    /// WHY not a newer one: a replica may have what the primary wrote after it was asked. WHY not
    /// the last that was asked for before that: an answer that takes long may be the newer one.
    fn answered_before(&self, writer: &Sample) -> Option<&'a Sample> {
        let samples = self.samples.ok()?;
        samples.iter().rev().find(|sample| sample.answered <= writer.at)
    }

    fn is_writable(&self) -> bool {
        self.newest().is_some_and(|sample| sample.writable.is_ok())
    }

    fn problem(&self) -> String {
        match self.samples {
            Ok(_) => self
                .newest()
                .and_then(|sample| sample.writable.clone().err())
                .unwrap_or_default(),
            Err(problem) => problem.to_owned(),
        }
    }
}

/// Which of the pods takes the writes.
pub(crate) fn decide(pods: &[PodSamples<'_>]) -> Writer {
    let mut writable = pods.iter().filter(|pod| pod.is_writable());
    match (writable.next(), writable.next()) {
        (None, _) => {
            let problems = pods.iter().map(|pod| PodProblem {
                pod: pod.name.to_owned(),
                problem: pod.problem(),
            });
            Writer::Unavailable(WriterProblem::NoneWritable {
                pods: problems.collect(),
            })
        }
        (Some(first), Some(second)) => {
            let all = [first, second].into_iter().chain(writable);
            Writer::Ambiguous(all.map(|pod| pod.name.to_owned()).collect())
        }
        (Some(only), None) => match missing(only, pods) {
            Some(missing) => Writer::Unavailable(WriterProblem::Diverged {
                pod: only.name.to_owned(),
                missing,
            }),
            None if is_too_early(only, pods) => Writer::Unavailable(WriterProblem::NotProbedYet),
            None => Writer::Pod(only.name.to_owned()),
        },
    }
}

/// Whether another pod has more, and had not answered yet when the writer was asked: it may have
/// got that from the writer since, or have had it before, which the next probe will tell. Its first
/// answer since then counts: what it had before was no more than that.
fn is_too_early(writer: &PodSamples<'_>, pods: &[PodSamples<'_>]) -> bool {
    let Some(own) = writer.newest() else { return false };
    pods.iter().any(|pod| match (pod.oldest(), pod.answered_before(own)) {
        (Some(first), None) => !own.executed.covers(&first.executed),
        _ => false,
    })
}

/// What the writable pod lacks of another's (F4): it came back empty, or the other has another
/// history.
fn missing(writer: &PodSamples<'_>, pods: &[PodSamples<'_>]) -> Option<String> {
    let own = writer.newest()?;
    pods.iter().filter(|pod| pod.name != writer.name).find_map(|pod| {
        let missing = pod.answered_before(own)?.executed.minus(&own.executed);
        (!missing.is_empty()).then(|| format!("{missing}, which {} has", pod.name))
    })
}

/// Keeps one answer that is older than `window`, for a writer that takes so long to answer, and
/// none before it.
pub(crate) fn forget(samples: &mut Vec<Sample>, now: Timestamp, window: Duration) {
    let old = samples.partition_point(|sample| now.since(sample.answered) > window);
    samples.drain(..old.saturating_sub(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u64, writable: bool, executed: &str) -> Sample {
        Sample {
            at: Timestamp::ZERO + Duration::from_millis(millis),
            answered: Timestamp::ZERO + Duration::from_millis(millis),
            flavor: Flavor::MariaDb,
            writable: if writable {
                Ok(())
            } else {
                Err("read_only is ON".to_owned())
            },
            executed: executed.parse().unwrap(),
            replicated: executed.parse().unwrap(),
            identity: ServerIdentity {
                server_id: 1,
                hostname: "mysql-0".to_owned(),
                uuid: None,
            },
        }
    }

    fn decide_on(pods: &[(&str, Result<Sample, &str>)]) -> Writer {
        let seen: Vec<_> = pods
            .iter()
            .map(|(name, sample)| PodSamples {
                name,
                samples: sample.as_ref().map(std::slice::from_ref).map_err(|problem| *problem),
            })
            .collect();
        decide(&seen)
    }

    #[test]
    fn f1_the_writable_pod_writes_whatever_its_ordinal() {
        let pods = [
            ("mysql-0", Ok(sample(0, false, "0-1-5"))),
            ("mysql-1", Ok(sample(0, true, "0-1-5"))),
            ("mysql-2", Ok(sample(0, false, "0-1-4"))),
        ];
        assert_eq!(decide_on(&pods), Writer::Pod("mysql-1".to_owned()));
    }

    #[test]
    fn f3_two_writable_pods_are_none_and_are_named() {
        let pods = [
            ("mysql-0", Ok(sample(0, true, "0-1-5"))),
            ("mysql-1", Ok(sample(0, false, "0-1-5"))),
            ("mysql-2", Ok(sample(0, true, "0-1-5"))),
        ];
        assert_eq!(
            decide_on(&pods),
            Writer::Ambiguous(vec!["mysql-0".to_owned(), "mysql-2".to_owned()])
        );
    }

    #[test]
    fn f3_no_writable_pod_is_none_and_each_says_why() {
        let pods = [
            ("mysql-0", Err("no answer within 500ms")),
            ("mysql-1", Ok(sample(0, false, "0-1-5"))),
        ];
        let Writer::Unavailable(problem) = decide_on(&pods) else {
            panic!("no pod writes")
        };
        let said = problem.to_string();
        assert!(said.contains("mysql-0: no answer within 500ms"), "{said}");
        assert!(said.contains("mysql-1: read_only is ON"), "{said}");
    }

    #[test]
    fn f4_a_primary_that_came_back_empty_is_refused() {
        for own in ["", "0-1-3"] {
            let pods = [
                ("mysql-0", Ok(sample(10, true, own))),
                ("mysql-1", Ok(sample(5, false, "0-1-900"))),
            ];
            let Writer::Unavailable(WriterProblem::Diverged { pod, missing }) = decide_on(&pods) else {
                panic!("{own:?} lacks 900 transactions")
            };
            assert_eq!(
                (pod.as_str(), missing.as_str()),
                ("mysql-0", "0-1-900, which mysql-1 has")
            );
        }
    }

    #[test]
    fn f4_a_replica_that_was_asked_later_may_have_more() {
        let (primary, replica) = (sample(10, true, "0-1-5"), sample(11, false, "0-1-6"));
        // With one answer only, it is not known whether it had that before.
        let pods = [("mysql-0", Ok(primary.clone())), ("mysql-1", Ok(replica.clone()))];
        assert_eq!(decide_on(&pods), Writer::Unavailable(WriterProblem::NotProbedYet));
        let decide_after = |replica: &[Sample]| {
            let seen = |name, samples| PodSamples {
                name,
                samples: Ok(samples),
            };
            decide(&[
                seen("mysql-0", std::slice::from_ref(&primary)),
                seen("mysql-1", replica),
            ])
        };
        let after_all = [sample(8, false, "0-1-5"), replica.clone()];
        assert_eq!(decide_after(&after_all), Writer::Pod("mysql-0".to_owned()));
        // But what it had before the primary was asked counts, too.
        let before = [sample(9, false, "0-1-6"), replica.clone()];
        assert!(matches!(
            decide_after(&before),
            Writer::Unavailable(WriterProblem::Diverged { .. })
        ));
        // A primary that takes long to answer is asked again, however often the others have
        // answered since.
        let since = [replica, sample(12, false, "0-1-7"), sample(13, false, "0-1-8")];
        assert_eq!(decide_after(&since), Writer::Unavailable(WriterProblem::NotProbedYet));
        // Unless the first of those answers says that there was nothing more: then the rest was
        // written since.
        let written_since = [sample(11, false, "0-1-5"), sample(12, false, "0-1-9")];
        assert_eq!(decide_after(&written_since), Writer::Pod("mysql-0".to_owned()));
    }

    #[test]
    fn f4_a_replica_that_answered_late_is_probed_again() {
        let asked_before = Sample {
            answered: Timestamp::ZERO + Duration::from_millis(12),
            ..sample(9, false, "0-1-6")
        };
        let pods = [
            ("mysql-0", Ok(sample(10, true, "0-1-5"))),
            ("mysql-1", Ok(asked_before)),
        ];
        assert_eq!(decide_on(&pods), Writer::Unavailable(WriterProblem::NotProbedYet));
    }

    #[test]
    fn f4_works_on_sets_too() {
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let pods = [
            ("mysql-0", Ok(sample(10, true, &format!("{uuid}:1-7")))),
            ("mysql-1", Ok(sample(5, false, &format!("{uuid}:1-5:9")))),
        ];
        assert!(matches!(
            decide_on(&pods),
            Writer::Unavailable(WriterProblem::Diverged { .. })
        ));
    }

    #[test]
    fn f4_answers_are_kept_for_as_long_as_a_writer_may_take() {
        let mut samples: Vec<_> = (0..10).map(|k| sample(100 * k, false, "0-1-5")).collect();
        let at = |samples: &[Sample]| samples.iter().map(|sample| sample.at).collect::<Vec<_>>();
        let kept: Vec<_> = (4..10).map(|k| sample(100 * k, false, "0-1-5")).collect();
        let now = Timestamp::ZERO + Duration::from_millis(950);
        forget(&mut samples, now, Duration::from_millis(500));
        assert_eq!(
            at(&samples),
            at(&kept),
            "400 ms is one more than those of the last 500 ms"
        );
        forget(&mut samples, now + Duration::from_secs(60), Duration::from_millis(500));
        assert_eq!(samples.len(), 1, "the last stays, however old");
    }
}
