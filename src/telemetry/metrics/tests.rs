//! What a scraper sees of what was counted.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

fn line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(start)?.strip_prefix(' '))
}

#[test]
fn a_counter_made_ahead_of_time_shows_zero_and_then_what_was_counted() {
    let registry = Registry::new().unwrap();
    let family = registry
        .counters("things_total", "Things.", &["kind", "size"])
        .unwrap();
    let small = family.with_label_values(&["red", "small"]);
    let name = r#"sidegate_things_total{kind="red",size="small"}"#;
    assert_eq!(line(&registry.render(), name), Some("0"));
    small.inc();
    family
        .with_label_values(&["red".to_owned(), "small".to_owned()])
        .inc_by(2);
    family.with_label_values(&["small", "red"]).inc();
    assert_eq!(line(&registry.render(), name), Some("3"));
    assert_eq!(small.get(), 3);
}

#[test]
fn buckets_are_cumulative_and_bounds_belong_to_their_bucket() {
    let registry = Registry::new().unwrap();
    let spread = registry
        .histograms("wait_seconds", "Waiting.", &["who"])
        .unwrap()
        .with_label_values(&["me"]);
    for bound in SECONDS {
        spread.observe(bound);
    }
    spread.observe_duration(Duration::from_secs(11));
    let text = registry.render();
    for (position, bound) in SECONDS.iter().enumerate() {
        let name = format!(r#"sidegate_wait_seconds_bucket{{who="me",le="{bound}"}}"#);
        assert_eq!(
            line(&text, &name),
            Some((position + 1).to_string().as_str())
        );
    }
    assert_eq!(
        line(&text, r#"sidegate_wait_seconds_bucket{who="me",le="+Inf"}"#),
        Some("17")
    );
    assert_eq!(
        line(&text, r#"sidegate_wait_seconds_count{who="me"}"#),
        Some("17")
    );
    let sum: f64 = line(&text, r#"sidegate_wait_seconds_sum{who="me"}"#)
        .unwrap()
        .parse()
        .unwrap();
    assert!((sum - SECONDS.iter().sum::<f64>() - 11.0).abs() < 1e-6);
}

#[test]
fn the_bucket_is_the_first_whose_bound_is_not_exceeded() {
    let around = |number: u64| [number.saturating_sub(1), number, number.saturating_add(1)];
    let powers = (0..64).map(|shift| 1 << shift);
    for nanos in NANOS.into_iter().chain(powers).flat_map(around) {
        let expected = NANOS.iter().filter(|&&bound| nanos > bound).count();
        assert_eq!(bucket(nanos), expected, "{nanos}");
    }
    for (seconds, nanos) in SECONDS.into_iter().zip(NANOS) {
        assert_eq!((seconds * 1e9).round() as u64, nanos);
    }
}

#[test]
fn what_is_no_duration_counts_as_zero_and_spoils_nothing() {
    let spread = Histogram::create(&());
    for odd in [f64::NAN, -1.0, f64::NEG_INFINITY] {
        spread.observe(odd);
    }
    assert_eq!(spread.0.read().nanos, 0);
    assert_eq!(spread.0.read().buckets[0], 3);
    spread.observe(f64::INFINITY);
    assert_eq!(spread.0.read().nanos, LONGEST_NANOS);
    assert_eq!(spread.count(), 4);
}

#[test]
fn a_gauge_follows_threads_that_open_and_threads_that_close() {
    let gauge = Registry::new().unwrap().gauge("open", "Open.").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..5).for_each(|_| gauge.inc()));
    });
    (0..7).for_each(|_| gauge.dec());
    assert_eq!(gauge.get(), -2);
    gauge.set(9);
    assert_eq!(gauge.get(), 9);
}

#[test]
fn series_of_a_deleted_route_disappear_and_their_handles_stay_harmless() {
    let registry = Registry::new().unwrap();
    let family = registry
        .counters("hits_total", "Hits.", &["route"])
        .unwrap();
    let (old, kept) = (
        family.with_label_values(&["old"]),
        family.with_label_values(&["kept"]),
    );
    old.inc();
    family.retain(|values| &*values[0] == "kept");
    old.inc();
    kept.inc();
    let text = registry.render();
    assert!(!text.contains("old") && text.contains(r#"sidegate_hits_total{route="kept"} 1"#));
    assert!(family.remove_label_values(&["kept"]).is_ok());
    assert!(family.remove_label_values(&["kept"]).is_err());
    assert!(!registry.render().contains("sidegate_hits_total"));
}

#[test]
fn a_name_is_taken_once_and_must_be_one() {
    let registry = Registry::new().unwrap();
    registry.counters("a_total", "A.", &[]).unwrap();
    assert!(registry.counters("a_total", "A.", &[]).is_err());
    assert!(registry.gauges("b-c", "B.", &[]).is_err());
}

#[test]
fn label_values_with_quotes_and_newlines_stay_one_line() {
    let registry = Registry::new().unwrap();
    let family = registry.counters("a_total", "A.", &["route"]).unwrap();
    family.with_label_values(&["a\"b\nc\\d"]).inc();
    assert!(registry.render().contains(r#"{route="a\"b\nc\\d"} 1"#));
}

#[test]
fn the_exposition_is_clean_in_the_eyes_of_promtool() {
    let registry = Registry::new().unwrap();
    registry
        .build_info(&[("version", "1.2.3"), ("commit", "abc")])
        .unwrap();
    registry.counter("a_total", "A.").unwrap().inc();
    registry.gauge("open", "Open.").unwrap().set(1);
    let seconds = registry
        .histograms("wait_seconds", "Waiting.", &["route"])
        .unwrap();
    seconds.with_label_values(&["x"]).observe(0.5);
    let text = registry.render();
    assert!(text.contains(r#"sidegate_build_info{version="1.2.3",commit="abc"} 1"#));
    assert!(text.contains("\nprocess_open_fds ") && !text.contains("sidegate_process"));
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // The integration tests insist on promtool; here it is a convenience.
    let Ok(mut promtool) = promtool else { return };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

const GUIDE: &str = include_str!("../../../docs/metrics.md");
const RULES: &str = include_str!("../../../config/prometheus-rules.yaml");
const DASHBOARD: &str = include_str!("../../../config/grafana-dashboard.json");

/// The names of our metrics that a text mentions, without the suffixes that a histogram's series have.
fn metrics_in(text: &str) -> std::collections::BTreeSet<&str> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || "_:".contains(character)))
        .filter(|word| word.starts_with("sidegate_") && word.len() > "sidegate_".len())
        .map(|word| {
            ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix))
                .unwrap_or(word)
        })
        .collect()
}

#[test]
fn alerts_and_dashboard_ask_for_documented_metrics_only() {
    let documented = metrics_in(GUIDE);
    assert!(documented.len() > 20);
    for text in [RULES, DASHBOARD] {
        let unknown: Vec<&str> = metrics_in(text).difference(&documented).copied().collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }
}

#[test]
fn every_alert_is_explained_and_the_dashboard_is_json() {
    for alert in RULES
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        // `SidegateCertificateExpiresSoon` shares its line with the alert that comes before it.
        assert!(
            GUIDE.contains(&format!("`{}`", alert.trim_end_matches("Soon"))),
            "{alert}"
        );
    }
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: std::collections::BTreeSet<_> =
        panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
}

#[test]
fn promtool_accepts_the_scrape_example_and_the_alerts_fire_when_they_should() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config/");
    for arguments in [
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "prometheus-rules.test.yaml"],
    ] {
        let promtool = Command::new("promtool")
            .args(arguments)
            .current_dir(config)
            .output();
        // The integration tests insist on promtool; here it is a convenience.
        let Ok(output) = promtool else { return };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
    }
}
