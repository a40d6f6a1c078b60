//! What is written about the surface says what the table of routes says.

use std::fs;
use std::path::Path;

use audit_http::routes::ROUTES;
use audit_http::{Access, openapi};
use audit_store::Role;
use audit_store::query::OrganizationScope;

use crate::rig::Rig;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares with a file, or writes it when `UPDATE_GOLDEN` is set.
fn golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, text).expect("written");
    }
    let known = fs::read_to_string(path).unwrap_or_default();
    assert!(
        known == text,
        "{} is stale; UPDATE_GOLDEN=1 writes it again",
        path.display()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_served_is_the_golden_one_and_names_every_route() {
    let rig = Rig::start().await;
    let served = rig.get("/openapi.json").await.json();
    let text = format!("{}\n", serde_json::to_string_pretty(&served).expect("JSON"));
    golden(&root().join("docs/openapi.json"), &text);
    assert_eq!(served, openapi::document());
    let paths = served["paths"].as_object().expect("paths");
    let described: usize = paths
        .values()
        .map(|item| item.as_object().map_or(0, serde_json::Map::len))
        .sum();
    assert_eq!(described, ROUTES.len());
    for route in ROUTES {
        let operation =
            &paths[&route.path.replace("{*path}", "{path}")][route.method.to_ascii_lowercase()];
        assert_eq!(
            operation["summary"], route.summary,
            "{} {}",
            route.method, route.path
        );
        assert_eq!(
            operation["security"].is_null(),
            route.access == Access::Open,
            "{} {}",
            route.method,
            route.path
        );
    }
}

/// The table in `docs/api-keys.md`.
fn table() -> String {
    let mut text = "| route | writer | viewer | analyst | compliance_officer | admin | no key |\n|---|---|---|---|---|---|---|\n".to_owned();
    for route in ROUTES {
        let mut row = format!("| `{} {}`", route.method, route.path);
        for role in [
            Role::Writer,
            Role::Viewer,
            Role::Analyst,
            Role::ComplianceOfficer,
            Role::Admin,
        ] {
            let some = OrganizationScope::Only(Vec::new());
            row.push_str(
                match (
                    route.access.allows(role, &OrganizationScope::All),
                    route.access.allows(role, &some),
                ) {
                    (true, true) => " | yes",
                    (true, false) => " | all",
                    _ => " | ",
                },
            );
        }
        row.push_str(match route.access {
            Access::Open => " | yes |\n",
            Access::Producer => " | some |\n",
            _ => " | |\n",
        });
        text.push_str(&row);
    }
    text
}

#[test]
fn the_table_of_roles_is_the_table_of_routes() {
    let path = root().join("docs/api-keys.md");
    let text = fs::read_to_string(&path).expect("the document");
    let (begin, end) = (
        "<!-- routes: written by a test -->\n",
        "<!-- end of routes -->",
    );
    let (before, rest) = text.split_once(begin).expect("a begin");
    let (_, after) = rest.split_once(end).expect("an end");
    golden(&path, &format!("{before}{begin}{}{end}{after}", table()));
}

#[test]
fn the_reference_names_every_route() {
    let text = fs::read_to_string(root().join("docs/http-api.md")).expect("the document");
    for route in ROUTES {
        assert!(
            text.contains(&format!("`{} {}", route.method, route.path)),
            "{} {} is missing",
            route.method,
            route.path
        );
    }
}
