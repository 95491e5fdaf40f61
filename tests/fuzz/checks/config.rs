//! Any text as a configuration: faults or settings, in bounded time; and settings without faults can be used.

use sidegate::config::check;
use sidegate::config::references::Given;
use sidegate::forwarding::Forwarding;
use sidegate::gate::routes::RouteTable;

/// Any bytes, as the file is read.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut given = Given::default();
    given.variables.insert("SECRET".into(), "s".repeat(64));
    given.files.insert("/f".into(), b"secret".to_vec());
    match check::check(text, &given) {
        Err(faults) => {
            assert!(!faults.0.is_empty());
            assert!(!faults.to_string().is_empty());
        }
        Ok(checked) => {
            for warning in &checked.warnings {
                assert!(!warning.to_string().is_empty());
            }
            let routes = RouteTable::compile(&checked.settings);
            assert!(routes.is_ok(), "{:?}", routes.err());
            let forwarding = Forwarding::new(&checked.settings.routes);
            assert!(forwarding.is_ok(), "{:?}", forwarding.err());
        }
    }
    given.files.insert("/config".into(), data.to_vec());
    let _ = check::load_authority("/config".as_ref(), &given);
}
