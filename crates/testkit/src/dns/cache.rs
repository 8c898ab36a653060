//! The cache plugin of CoreDNS, or NodeLocal DNSCache, in front of the zone: an answer is kept for
//! its TTL, and its records are returned with the remaining TTL.
//!
//! So a change in the cluster becomes visible only when the old answer has run out, negative
//! answers included. Unlike CoreDNS there is no lower limit of 5 s, because tests want short TTLs.
//! The clock is an argument.
//!
//! Source: CoreDNS `plugin/cache` (one TTL for all records of a message, aged; separate handling of
//! negative answers has the same effect here because positive and negative TTL are equal).

use std::collections::HashMap;

use tokio::time::{Duration, Instant};

use super::{
    record::{Record, RecordType},
    zone::Answer,
};

#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: HashMap<(String, RecordType), (Instant, u32, Answer)>,
    /// How far tests have advanced this cache's clock.
    ahead: Duration,
}

impl Cache {
    /// The kept answer, aged, or else a `fresh` one.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        name: &str,
        rtype: RecordType,
        fresh: impl FnOnce() -> (u32, Answer),
    ) -> Answer {
        let now = now + self.ahead;
        let key = (name.to_owned(), rtype);
        if let Some((since, ttl, answer)) = self.kept.get(&key) {
            let age = now.saturating_duration_since(*since);
            if age < Duration::from_secs(u64::from(*ttl)) {
                return aged(answer.clone(), *ttl - age.as_secs() as u32);
            }
        }
        let (ttl, answer) = fresh();
        if answer == Answer::Refused {
            return answer;
        }
        self.kept.insert(key, (now, ttl, answer.clone()));
        answer
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}

fn aged(mut answer: Answer, left: u32) -> Answer {
    let set = |record: &mut Record| record.ttl = left;
    match &mut answer {
        Answer::Found { answers, additional } => answers.iter_mut().chain(additional).for_each(set),
        Answer::NoData(soa) | Answer::NxDomain(soa) => set(soa),
        Answer::Refused => {}
    }
    answer
}
