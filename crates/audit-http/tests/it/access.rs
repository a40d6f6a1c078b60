//! Every route of the table: who gets in, and what everybody else is told.

use audit_event::OrganizationId;
use audit_http::Access;
use audit_http::routes::{ROUTES, Route};
use audit_store::Role;
use audit_store::query::OrganizationScope;
use reqwest::{Method, RequestBuilder};

use crate::rig::{Answer, Options, Rig, send};

const ROLES: [Role; 5] = [
    Role::Writer,
    Role::Viewer,
    Role::Analyst,
    Role::ComplianceOfficer,
    Role::Admin,
];

fn path(route: &Route) -> String {
    let id = "019c9c9e-0000-7000-8000-000000000000";
    route
        .path
        .replace("{ledger}", "0")
        .replace("{index}", "0")
        .replace("{*path}", "0/000")
        .replace("{component}", "store")
        .replace("{handler}", "phone")
        .replace("{id}", id)
        .replace("{run}", id)
}

fn method(route: &Route) -> Method {
    Method::from_bytes(route.method.as_bytes()).expect("a method")
}

fn request(rig: &Rig, route: &Route) -> RequestBuilder {
    // A body that every handler refuses: nothing is changed by getting in.
    rig.client
        .request(method(route), format!("{}{}", rig.base, path(route)))
        .body("nonsense")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_only_open_routes_answer() {
    let rig = Rig::start().await;
    let wrong = format!("ak_0123456789abcdef_{}", "x".repeat(43));
    for route in ROUTES {
        let none = send(request(&rig, route)).await;
        let unknown = send(request(&rig, route).bearer_auth(&wrong)).await;
        let garbage = send(request(&rig, route).header("x-api-key", "garbage")).await;
        for answer in [none, unknown, garbage] {
            if route.access == Access::Open {
                assert!(
                    answer.status.is_success(),
                    "{} {}: {}",
                    route.method,
                    route.path,
                    answer.text
                );
            } else {
                assert_eq!(
                    answer.problem(401),
                    "unauthenticated",
                    "{} {}",
                    route.method,
                    route.path
                );
                assert!(answer.header("www-authenticate").starts_with("Bearer"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_gets_into_what_its_access_says_and_nowhere_else() {
    let rig = Rig::with(Options {
        detection: true,
        ..Options::default()
    })
    .await;
    let some = OrganizationScope::Only(vec![OrganizationId::new("org-a")]);
    for scope in [OrganizationScope::All, some] {
        for role in ROLES {
            let key = rig.key(role, scope.clone()).await;
            for route in ROUTES {
                let answer = send(request(&rig, route).bearer_auth(&key)).await;
                let told = format!(
                    "{role:?} {scope:?} {} {}: {}",
                    route.method, route.path, answer.text
                );
                if route.access.allows(role, &scope) {
                    assert!(![401, 403].contains(&answer.status.as_u16()), "{told}");
                    assert!(answer.status.as_u16() < 500, "{told}");
                } else {
                    assert_eq!(answer.problem(403), "forbidden", "{told}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_stand_in_its_own_header_and_an_expired_one_is_none() {
    let rig = Rig::start().await;
    let own = |key: &str| {
        rig.client
            .get(format!("{}/v1/ledgers", rig.base))
            .header("x-api-key", key)
    };
    assert_eq!(send(own(&rig.admin)).await.status, 200);

    let now = rig.state.clock.now_micros();
    for (expires_at, works) in [(now - 1, false), (now + 3_600_000_000, true)] {
        let request = audit_http::KeyRequest {
            name: "short".to_owned(),
            role: Role::Admin,
            scope: OrganizationScope::All,
            default_organization: OrganizationId::none(),
            expires_at: audit_event::Timestamp::from_micros(expires_at),
        };
        let (key, text) = audit_http::new_api_key(&*rig.state.random, &*rig.state.clock, request);
        rig.state
            .store
            .api_keys
            .create(&key)
            .await
            .expect("created");
        assert_eq!(send(own(&text)).await.status.is_success(), works);
    }
    // The right id with another secret is no key.
    let (id, secret) = rig.admin.rsplit_once('_').expect("a key");
    let other = if secret.starts_with('A') { "B" } else { "A" };
    let forged = format!("{id}_{other}{}", secret.get(1..).expect("43 characters"));
    assert_eq!(send(own(&forged)).await.problem(401), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_problem_too() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/nothing/here").await.problem(404), "not_found");
    let wrong_method = |answer: Answer| assert_eq!(answer.problem(405), "method_not_allowed");
    wrong_method(send(rig.request(Method::PUT, "/v1/events")).await);
    wrong_method(send(rig.request(Method::DELETE, "/v1/ledgers")).await);
    for path in [
        "/v1/events/019c9c9e-0000-7000-8000-000000000000",
        "/v1/frames/019c9c9e-0000-7000-8000-000000000000",
        "/v1/ledgers/9/checkpoint",
        "/v1/ledgers/first/key",
        "/v1/ledgers/0/entries/999999",
        "/v1/ledgers/0/entries/18446744073709551615/canonical",
        "/v1/ledgers/0/entries/first",
        "/v1/ledgers/0/tile/0/x",
        "/v1/verify/none",
        "/v1/dead-letters/019c9c9e-0000-7000-8000-000000000000",
        "/health/none",
    ] {
        assert_eq!(rig.get(path).await.problem(404), "not_found", "{path}");
    }
    for path in ["/v1/events/7", "/v1/frames/7", "/v1/dead-letters/7"] {
        assert_eq!(rig.get(path).await.problem(400), "bad_id", "{path}");
    }
    let known = "/v1/events/019c9c9e-0000-7000-8000-000000000000";
    assert_eq!(
        rig.get(&format!("{known}?timestamp=now"))
            .await
            .problem(400),
        "bad_parameter"
    );
    assert_eq!(
        rig.get(&format!("{known}?colour=red")).await.problem(400),
        "bad_parameter"
    );
    // Every answer says under which id the log knows it.
    assert!(
        !rig.get("/nothing/here")
            .await
            .header("x-request-id")
            .is_empty()
    );
}
