//! `detection.*`: which rules look at stored events, and how.

use std::time::Duration;

use ipnet::IpNet;

use super::AlertLevel;

/// `detection.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectionSettings {
    /// `detection.enabled`: whether stored events are looked at; default `true`.
    pub enabled: bool,
    /// `detection.builtInRules`: whether the built-in rules are in use; default `true`.
    pub built_in: bool,
    /// `detection.rules`: where more rules are, as Sigma YAML: files, directories, `file://` or `s3://bucket/key`; default none.
    /// Whoever can change what is there decides what is noticed.
    pub rules: Vec<String>,
    /// `detection.rulesPollMs`: time between two looks at them; zero looks when asked only. Default 30,000.
    pub rules_poll: Duration,
    /// `detection.allowedLatenessMs`: how much later than others an event may come and still be judged with those of its time;
    /// default 60,000.
    pub allowed_lateness: Duration,
    /// `detection.groupsMax`: groups of correlations that are remembered at once; default 100,000.
    pub groups_max: usize,
    /// `detection.observationsMax`: observations that are remembered at once, of all groups; default 2,000,000.
    pub observations_max: usize,
    /// `detection.observationsPerGroupMax`: the same of one group; default 10,000.
    pub observations_per_group_max: usize,
    /// `detection.timeZone`, `detection.workingFrom`, `detection.workingTo`, `detection.workingDays` and
    /// `detection.internalNetworks`: of organisations that are not named.
    pub everyone: CustomsSettings,
    /// `detection.organizations`: of those that are; each named once.
    pub organizations: Vec<OrganizationCustoms>,
    /// `detection.tuning`: what is changed about rules; each rule once.
    pub tuning: Vec<RuleTuningSettings>,
}

/// When and from where an organisation works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomsSettings {
    /// `timeZone`: a name of the time zone database, not checked here; default `UTC`.
    pub time_zone: String,
    /// `workingFrom`: the hour in which work begins, 0 to 23; default 6.
    pub working_from: u8,
    /// `workingTo`: the hour before which it ends, 1 to 24; default 22. Not later than `workingFrom`: work goes on past midnight.
    pub working_to: u8,
    /// `workingDays`: days of work, Monday first; default all.
    pub working_days: [bool; 7],
    /// `internalNetworks`: whose addresses are internal; default the private ranges.
    pub internal_networks: Vec<IpNet>,
}

/// One of `detection.organizations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationCustoms {
    /// `organizationId`.
    pub organization_id: String,
    /// What holds for it; what was not said is as everyone's.
    pub customs: CustomsSettings,
}

/// One of `detection.tuning`; what is `None` stays as the rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTuningSettings {
    /// `rule`: its key. Whether there is such a rule is not known here.
    pub rule: String,
    /// `enabled`: whether it is in use.
    pub enabled: Option<bool>,
    /// `threshold`: the number that its condition compares with.
    pub threshold: Option<u64>,
    /// `windowMs`: length of its window.
    pub window: Option<Duration>,
    /// `level`: how much it matters.
    pub level: Option<AlertLevel>,
    /// `organizations`: the only ones it is for; never an empty list.
    pub organizations: Option<Vec<String>>,
}
