//! [`LookupParams`]: what is looked up, fixed when the resolver is built.

use headless_core::ServiceName;

use crate::family::IpFamily;

/// What is looked up, fixed when the resolver is built.
#[derive(Clone, Debug)]
pub(crate) struct LookupParams {
    pub(crate) service: ServiceName,
    pub(crate) family: IpFamily,
    pub(crate) set: Option<Box<str>>,
    pub(crate) first_ordinal: u32,
    pub(crate) external_name: bool,
}

impl LookupParams {
    /// Returns the highest ordinal worth asking for if the Service has `count` addresses.
    ///
    /// Pods that are not ready have no record, so the ordinals may have gaps, and DNS does not tell
    /// how many.
    pub(crate) fn last_ordinal(&self, count: usize) -> u32 {
        self.first_ordinal
            .saturating_add(u32::try_from(count).unwrap_or(u32::MAX))
            .saturating_add(GAPS)
    }
}

/// The number of ordinals that are asked for beyond the number of addresses.
const GAPS: u32 = 64;
