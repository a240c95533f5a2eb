//! `/metrics`: figures for Prometheus, in its text format. Names say their unit; labels have few values, however many
//! services are called. Only reads.

use std::fmt::Write as _;

use hyper::{
    Response,
    header::{CONTENT_TYPE, HeaderValue},
};
use stepwright_engine::ServiceStats;

use crate::{delivery::ReplyBody, service::Service};

/// Where it is.
pub(super) const PATH: &str = "/metrics";

/// A figure of each service.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    of: fn(&ServiceStats) -> f64,
}

const FAMILIES: [Family; 5] = [
    Family {
        name: "stepwright_task_calls_in_flight",
        kind: "gauge",
        help: "Calls of a service that are under way",
        of: |stats| stats.in_flight as f64,
    },
    Family {
        name: "stepwright_task_calls_waiting",
        kind: "gauge",
        help: "Tasks that wait for their call, because of a limit on concurrency or rate",
        of: |stats| stats.waiting as f64,
    },
    Family {
        name: "stepwright_task_calls_oldest_wait_seconds",
        kind: "gauge",
        help: "For how long the oldest of them has waited since it came or the server started",
        of: |stats| stats.oldest_wait_ms as f64 / 1e3,
    },
    Family { name: "stepwright_task_calls_total", kind: "counter", help: "Calls made", of: |stats| stats.calls as f64 },
    Family {
        name: "stepwright_task_call_failures_total",
        kind: "counter",
        help: "Calls that failed or were given up",
        of: |stats| stats.failures as f64,
    },
];

pub(super) fn serve(service: &Service) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(text(&service.engine().service_stats())));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn text(services: &[ServiceStats]) -> String {
    let mut text = String::new();
    for Family { name, kind, help, of } in &FAMILIES {
        // Writing into memory can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for stats in services {
            let (connector, service) = (label(stats.connector), label(&stats.service));
            let _ = writeln!(text, "{name}{{connector=\"{connector}\",service=\"{service}\"}} {}", of(stats));
        }
    }
    text
}

/// A text as the value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let stats = ServiceStats {
            connector: "lambda",
            service: "a\"b\\".into(),
            in_flight: 2,
            waiting: 3,
            oldest_wait_ms: 1_500,
            calls: 7,
            failures: 1,
        };
        let text = text(&[stats]);
        let figures: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let labels = r#"{connector="lambda",service="a\"b\\"}"#;
        assert_eq!(
            figures,
            [
                format!("stepwright_task_calls_in_flight{labels} 2"),
                format!("stepwright_task_calls_waiting{labels} 3"),
                format!("stepwright_task_calls_oldest_wait_seconds{labels} 1.5"),
                format!("stepwright_task_calls_total{labels} 7"),
                format!("stepwright_task_call_failures_total{labels} 1"),
            ]
        );
        for family in &FAMILIES {
            assert!(text.contains(&format!("# TYPE {} {}\n", family.name, family.kind)));
            assert_eq!(family.kind == "counter", family.name.ends_with("_total"));
        }
    }
}
