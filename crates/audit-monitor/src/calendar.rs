//! What derived fields need to know of an organisation: its hours and its networks. All of it is given; nothing here asks a clock.

use std::collections::BTreeMap;
use std::net::IpAddr;

use audit_event::{OrganizationId, Timestamp};
use ipnet::IpNet;
use jiff::tz::TimeZone;

/// The calendar and networks of one organisation.
#[derive(Debug, Clone)]
pub struct Customs {
    zone: TimeZone,
    /// Days of work, Monday first.
    days: [bool; 7],
    /// Work starts at this hour, 0 to 23.
    from_hour: i8,
    /// Work ends before this hour, 1 to 24; when not after `from_hour`, work goes on past midnight.
    to_hour: i8,
    networks: Vec<IpNet>,
}

/// The name is in no time zone database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no time zone is called {0:?}")]
pub struct UnknownZone(pub String);

impl Default for Customs {
    /// UTC; every day from 6 to 22, which is the daylight of the replaced system's off-hours pattern; the private networks.
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            days: [true; 7],
            from_hour: 6,
            to_hour: 22,
            networks: private_networks(),
        }
    }
}

impl Customs {
    /// Sets the time zone, by its IANA name: `Europe/Berlin`.
    ///
    /// # Errors
    /// When no zone has that name.
    pub fn in_zone(mut self, name: &str) -> Result<Self, UnknownZone> {
        self.zone = TimeZone::get(name).map_err(|_source| UnknownZone(name.to_owned()))?;
        Ok(self)
    }

    /// Sets the hours of work, `from` (0 to 23) until before `to` (1 to 24). `from` later than `to` is a night shift; equal hours are
    /// the whole day. Hours beyond a day are cut to it.
    #[must_use]
    pub fn working(mut self, from: u8, to: u8) -> Self {
        self.from_hour = i8::try_from(from.min(23)).unwrap_or(0);
        self.to_hour = i8::try_from(to.min(24)).unwrap_or(24);
        self
    }

    /// Sets the days of work, Monday first.
    #[must_use]
    pub fn on_days(mut self, days: [bool; 7]) -> Self {
        self.days = days;
        self
    }

    /// Sets the networks whose addresses are internal.
    #[must_use]
    pub fn within(mut self, networks: Vec<IpNet>) -> Self {
        self.networks = networks;
        self
    }

    pub(crate) fn moment(&self, at: Timestamp) -> Moment {
        // Years 0001 to 9999 are within jiff's range, and its local times reach beyond by more than an offset.
        let Ok(instant) = jiff::Timestamp::from_microsecond(at.micros()) else {
            return Moment::default();
        };
        let local = self.zone.to_datetime(instant);
        let day = local.weekday();
        let hour = local.hour();
        let index = usize::try_from(day.to_monday_zero_offset()).unwrap_or_default();
        let works = self.days.get(index).copied().unwrap_or(true);
        Moment {
            hour,
            weekday: WEEKDAYS.get(index).copied().unwrap_or_default(),
            at_work: works && self.is_hour_of_work(hour),
        }
    }

    fn is_hour_of_work(&self, hour: i8) -> bool {
        if self.from_hour < self.to_hour {
            (self.from_hour..self.to_hour).contains(&hour)
        } else {
            hour >= self.from_hour || hour < self.to_hour
        }
    }

    /// Whether an address is one of ours; `None` when the text is no address.
    pub(crate) fn is_internal(&self, address: &str) -> Option<bool> {
        let address: IpAddr = address.trim().parse().ok()?;
        let address = address.to_canonical();
        Some(
            self.networks
                .iter()
                .any(|network| network.contains(&address)),
        )
    }
}

/// A time as an organisation's wall shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moment {
    /// 0 to 23.
    pub(crate) hour: i8,
    /// `monday` to `sunday`.
    pub(crate) weekday: &'static str,
    /// Within the hours of work of a day of work.
    pub(crate) at_work: bool,
}

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// RFC 1918, RFC 4193, loopback and link-local addresses.
fn private_networks() -> Vec<IpNet> {
    [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
    ]
    .iter()
    .filter_map(|network| network.parse().ok())
    .collect()
}

/// The customs of every organisation.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Of organisations that are not named.
    pub everyone: Customs,
    /// Of the organisations that are.
    pub organizations: BTreeMap<OrganizationId, Customs>,
}

impl Settings {
    pub(crate) fn of(&self, organization: &OrganizationId) -> &Customs {
        self.organizations
            .get(organization)
            .unwrap_or(&self.everyone)
    }
}

#[cfg(test)]
mod tests {
    use audit_event::timestamp::MissingZone;

    use super::*;

    fn moment(customs: &Customs, text: &str) -> Moment {
        let (at, _form) = Timestamp::parse(text, MissingZone::Refuse).expect("a time");
        customs.moment(at)
    }

    #[test]
    fn hours_are_those_of_the_organisations_wall() {
        let berlin = Customs::default().in_zone("Europe/Berlin").expect("a zone");
        // Summer time, and the day changes with the zone.
        let late = moment(&berlin, "2024-07-05T22:30:00Z");
        assert_eq!(
            (late.hour, late.weekday, late.at_work),
            (0, "saturday", false)
        );
        let winter = moment(&berlin, "2024-01-05T05:00:00Z");
        assert_eq!((winter.hour, winter.at_work), (6, true));
        assert_eq!(
            Customs::default().in_zone("Mars/Olympus").err(),
            Some(UnknownZone("Mars/Olympus".to_owned()))
        );
    }

    #[test]
    fn work_may_go_on_past_midnight_and_rests_on_days_off() {
        let night = Customs::default().working(22, 6);
        let at_work = |customs: &Customs, text| moment(customs, text).at_work;
        assert!(at_work(&night, "2024-01-05T23:00:00Z"));
        assert!(at_work(&night, "2024-01-05T05:59:59Z"));
        assert!(!at_work(&night, "2024-01-05T06:00:00Z"));
        let weekdays = Customs::default().on_days([true, true, true, true, true, false, false]);
        assert!(at_work(&weekdays, "2024-01-05T12:00:00Z"), "a Friday");
        assert!(!at_work(&weekdays, "2024-01-06T12:00:00Z"), "a Saturday");
    }

    #[test]
    fn an_address_is_internal_external_or_none() {
        let customs = Customs::default();
        for (text, internal) in [
            ("10.1.2.3", Some(true)),
            ("::ffff:192.168.0.1", Some(true)),
            ("fd00::1", Some(true)),
            ("8.8.8.8", Some(false)),
            ("2001:db8::1", Some(false)),
            ("unknown", None),
            ("ec2.amazonaws.com", None),
        ] {
            assert_eq!(customs.is_internal(text), internal, "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_have_an_hour() {
        for micros in [i64::MIN, i64::MAX] {
            let at = Timestamp::clamped(micros);
            let customs = Customs::default().in_zone("Asia/Tokyo").expect("a zone");
            assert!((0..24).contains(&customs.moment(at).hour));
        }
    }
}
