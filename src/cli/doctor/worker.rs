//! The worker that runs here: what its `/readyz` says.

use std::time::Duration;

use serde_json::Value;

use crate::{
    cli::{doctor::finding::Finding, health::usual_url},
    config::Settings,
    http::Http,
};

/// For its answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One line for the worker, one for each model that it leaves alone.
pub(super) async fn check(settings: &Settings, http: &Http) -> Vec<Finding> {
    let url = usual_url(settings.admin.listen, false);
    let Ok(answer) = http.get(&url, TIMEOUT).await else {
        let detail = format!("none answers at {}", settings.admin.listen);
        return vec![Finding::warn(
            "worker",
            detail,
            "start `longshore worker`; or is it on another machine?",
        )];
    };
    match serde_json::from_slice(&answer.body) {
        Ok(page) => judge(&page),
        Err(_) => {
            let detail = format!("{url} is answered by something else (HTTP {})", answer.status);
            vec![Finding::fail("worker", detail, "is admin.listen another program's port?")]
        }
    }
}

fn judge(page: &Value) -> Vec<Finding> {
    let texts = |name: &str| page[name].as_array().into_iter().flatten();
    let failed: Vec<String> = texts("checks")
        .filter(|check| check["status"] == "fail")
        .map(|check| {
            let text = |name: &str| check[name].as_str().unwrap_or_default();
            format!("{}: {}", text("name"), text("output"))
        })
        .collect();
    let mut found = vec![if failed.is_empty() && page["status"] == "pass" {
        Finding::ok("worker", format!("ready, version {}", page["version"].as_str().unwrap_or("unknown")))
    } else {
        Finding::fail("worker", format!("not ready: {}", failed.join("; ")), "its log says more")
    }];
    if let Some(version) = page["version"].as_str().filter(|version| *version != env!("CARGO_PKG_VERSION")) {
        let detail = format!("it runs version {version}, this is {}", env!("CARGO_PKG_VERSION"));
        found.push(Finding::warn("worker", detail, "restart it after an upgrade"));
    }
    found.extend(texts("degraded").filter_map(Value::as_str).map(|text| {
        Finding::warn("circuit", text, "events that need it wait, or ask the next of their route")
    }));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::judge;
    use crate::cli::doctor::finding::State;

    #[test]
    fn a_model_that_is_down_is_a_warning_and_a_check_that_fails_a_failure() {
        let version = env!("CARGO_PKG_VERSION");
        let states = |page| judge(&page).iter().map(|finding| finding.state).collect::<Vec<_>>();
        assert_eq!(states(json!({ "status": "pass", "version": version, "checks": [] })), [State::Ok]);
        let degraded =
            json!({ "status": "pass", "version": version, "checks": [], "degraded": ["llm:openai: x"] });
        assert_eq!(states(degraded), [State::Ok, State::Warn]);
        let failed = json!({
            "status": "fail", "version": "0.0.1",
            "checks": [{ "name": "database", "status": "fail", "output": "gone" }, { "name": "queue", "status": "pass" }],
        });
        assert_eq!(states(failed.clone()), [State::Fail, State::Warn]);
        assert!(judge(&failed)[0].detail.contains("database: gone"));
    }
}
