//! The events of the audit log by name, and sets of them.

use time::OffsetDateTime;

use crate::model::clock::Now;

/// What can be told. The names are those of Elasticsearch's `xpack.security.audit.logfile.events.include`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A request may do what it asks.
    AccessGranted,
    /// A request may not.
    AccessDenied,
    /// A request had no credential.
    AnonymousAccessDenied,
    /// A request's credential was bad.
    AuthenticationFailed,
    /// A request's credential was good.
    AuthenticationSuccess,
    /// A caller may act as somebody else.
    RunAsGranted,
    /// A caller may not.
    RunAsDenied,
    /// Users, roles, mappings, privileges, keys or tokens were changed.
    SecurityConfigChange,
}

/// Every event.
pub const ALL: [Event; 8] = [
    Event::AccessDenied,
    Event::AccessGranted,
    Event::AnonymousAccessDenied,
    Event::AuthenticationFailed,
    Event::AuthenticationSuccess,
    Event::RunAsDenied,
    Event::RunAsGranted,
    Event::SecurityConfigChange,
];

impl Event {
    /// The name in lines and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessGranted => "access_granted",
            Self::AccessDenied => "access_denied",
            Self::AnonymousAccessDenied => "anonymous_access_denied",
            Self::AuthenticationFailed => "authentication_failed",
            Self::AuthenticationSuccess => "authentication_success",
            Self::RunAsGranted => "run_as_granted",
            Self::RunAsDenied => "run_as_denied",
            Self::SecurityConfigChange => "security_config_change",
        }
    }
}

/// A set of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(u16);

impl Events {
    /// These events.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        Self(
            events
                .into_iter()
                .fold(0, |set, event| set | 1 << event as u16),
        )
    }

    /// By names; a name that isn't known counts for nothing.
    pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self::of(names.into_iter().filter_map(|name| {
            let mut all = ALL.into_iter();
            all.find(|event| event.name() == name)
        }))
    }

    /// Whether an event is in it.
    pub const fn contains(self, event: Event) -> bool {
        self.0 & 1 << event as u16 != 0
    }
}

/// `2026-01-02T03:04:05,678+0000`, the form of Elasticsearch's audit log, in UTC.
pub(super) fn timestamp(now: Now) -> String {
    let seconds = i64::try_from(now.unix.as_secs()).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02},{:03}+0000",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        now.unix.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_event_is_found_by_its_name_and_by_no_other() {
        for event in ALL {
            let set = Events::named([event.name(), "nonsense"]);
            for other in ALL {
                assert_eq!(set.contains(other), other == event);
            }
        }
    }

    #[test]
    fn the_timestamp_has_milliseconds_and_a_zone() {
        let now = Now {
            mono: Duration::ZERO,
            unix: Duration::from_millis(1_700_000_000_042),
        };
        assert_eq!(timestamp(now), "2023-11-14T22:13:20,042+0000");
    }
}
