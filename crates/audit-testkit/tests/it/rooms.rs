//! The walls stand, and the check sees when one does not.

use audit_testkit::data::workspace_root;
use audit_testkit::rooms::{Rules, check};
use cargo_metadata::{Metadata, MetadataCommand};
use serde_json::{Value, json};

#[test]
fn the_walls_of_this_workspace_stand() {
    let manifest = workspace_root().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .unwrap();
    assert!(metadata.packages.len() > 10, "the whole workspace is seen");
    assert_eq!(
        check(&metadata, &Rules::of_this_workspace()),
        Vec::<String>::new()
    );
}

/// A dependency as `cargo metadata` prints it.
fn uses(name: &str, kind: Option<&str>) -> Value {
    json!({"name": name, "source": null, "req": "*", "kind": kind, "rename": null, "optional": false,
           "uses_default_features": true, "features": [], "target": null, "registry": null})
}

fn package(name: &str, dependencies: &[Value], features: usize) -> Value {
    let features: serde_json::Map<String, Value> = (0..features)
        .map(|n| (format!("f{n}"), json!([])))
        .collect();
    json!({"name": name, "version": "0.1.0", "id": name, "license": null, "license_file": null, "description": null, "source": null,
           "dependencies": dependencies, "targets": [], "features": features, "manifest_path": format!("/w/{name}/Cargo.toml"),
           "authors": [], "categories": [], "keywords": [], "readme": null, "repository": null, "homepage": null,
           "documentation": null, "edition": "2024", "links": null, "publish": null, "default_run": null, "rust_version": null})
}

fn metadata(packages: &[Value]) -> Metadata {
    let members: Vec<&Value> = packages.iter().map(|package| &package["id"]).collect();
    serde_json::from_value(json!({"packages": packages, "workspace_members": members, "workspace_default_members": members,
        "resolve": null, "target_directory": "/w/target", "version": 1, "workspace_root": "/w", "metadata": null}))
    .unwrap()
}

fn rules() -> Rules {
    let table = |rows: &[(&str, &[&str])]| {
        rows.iter()
            .map(|(key, list)| {
                (
                    (*key).to_owned(),
                    list.iter().map(|name| (*name).to_owned()).collect(),
                )
            })
            .collect()
    };
    Rules {
        may_use: table(&[
            ("nouns", &[]),
            ("port", &["nouns"]),
            ("adapter", &["nouns", "port"]),
            ("kit", &["port"]),
        ]),
        only_in: table(&[("database", &["adapter"])]),
        never_in: table(&[("nouns", &["runtime"])]),
        dev_only: vec!["kit".to_owned()],
    }
}

/// The made-up workspace with one package changed, and what is to be said about it.
fn reported(change: Value, expected: &[&str]) {
    let mut packages = vec![
        package("nouns", &[uses("text", None)], 0),
        package("port", &[uses("nouns", None), uses("runtime", None)], 2),
        package(
            "adapter",
            &[
                uses("port", None),
                uses("nouns", None),
                uses("database", None),
                uses("kit", Some("dev")),
            ],
            0,
        ),
        package(
            "kit",
            &[uses("port", None), uses("adapter", Some("dev"))],
            0,
        ),
    ];
    match packages
        .iter_mut()
        .find(|package| package["name"] == change["name"])
    {
        Some(package) => *package = change,
        None => packages.push(change),
    }
    assert_eq!(check(&metadata(&packages), &rules()), expected);
}

#[test]
fn a_workspace_that_keeps_the_rules_is_not_reported() {
    reported(
        package(
            "nouns",
            &[
                uses("text", None),
                uses("adapter", Some("dev")),
                uses("runtime", Some("dev")),
            ],
            9,
        ),
        &[],
    );
}

#[test]
fn every_broken_rule_is_reported() {
    reported(
        package("nouns", &[uses("port", None)], 0),
        &["nouns must not use port"],
    );
    reported(
        package("nouns", &[uses("port", Some("build"))], 0),
        &["nouns must not use port"],
    );
    reported(
        package("port", &[uses("adapter", None)], 0),
        &["port must not use adapter"],
    );
    reported(
        package("port", &[uses("kit", None)], 0),
        &["port uses kit, which is for tests only"],
    );
    reported(
        package("port", &[uses("database", None)], 0),
        &["port must not use database: it belongs to other rooms"],
    );
    reported(
        package("nouns", &[uses("runtime", None)], 0),
        &["nouns must not use runtime: its room does not know it"],
    );
    reported(
        package("new", &[], 0),
        &["new has no room: say in the rules what it may use"],
    );
    reported(
        package("port", &[uses("nouns", None)], 10),
        &["port has 10 features, more than 9"],
    );
}

#[test]
fn a_rule_about_a_crate_that_does_not_exist_is_reported() {
    let packages = [
        package("nouns", &[], 0),
        package("port", &[], 0),
        package("adapter", &[], 0),
    ];
    assert_eq!(
        check(&metadata(&packages), &rules()),
        ["the rules name kit, which does not exist"]
    );
}
