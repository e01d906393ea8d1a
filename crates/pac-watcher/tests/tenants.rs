//! The port for tenants: somebody with rights in one namespace sees that one, and no name of another in anything they get.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use pac_devcluster::{FaultAction, FaultRule};
use pac_kube::api::labels::PAUSED;
use serde_json::{Value, json};
use support::tenants::{Answered, ask};
use support::{World, browser::Browser, readable};

/// What belongs to somebody else, or to the watcher alone, has this in its name.
const SECRET: &str = "zzsecret";
const OTHERS: &str = "zzsecret-team";
const PAC: &str = "pipelines-as-code";

/// team-a's queues, with whatever may be told of them, beside those of another team and the global Repository.
async fn world() -> World {
    let mut world = World::with_namespace("team-a".to_owned()).await;
    world.create_namespace(OTHERS).await;
    world.tenant("team-a", "ci", "get");
    world.operator(PAC, "ops");
    world.repository_in(OTHERS, "zzsecret-repo", Some(1)).await;
    world.repository_in(PAC, PAC, Some(2)).await;
    for name in ["zzsecret-one", "zzsecret-two"] {
        world.run_in(OTHERS, "zzsecret-repo", name).await;
    }
    world.start_watcher_as("zzsecret-node-0");
    world.repository("repo", Some(1)).await;
    world.repository("held", Some(1)).await;
    world.repository("unlimited", None).await;
    world.patch_repository("held", json!({"metadata": {"annotations": {PAUSED: "the registry moves"}}})).await;
    world.event("held", &["h"]).await;
    // Refused in words that name what a tenant may not know.
    let message = format!("failed calling webhook: Post https://hook.{OTHERS}.svc: refused").to_owned();
    let action = FaultAction::Error { status: 403, reason: "Forbidden".to_owned(), message };
    world.cluster.faults().add(FaultRule::new(action).verb("patch").resource("pipelineruns").name("refused"));
    world.repository("refusing", Some(1)).await;
    world.event("refusing", &["refused", "passing"]).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.started("a").await;
    world.started("passing").await;
    world
}

fn no_secrets(answered: &Answered, what: &str) {
    let raw = answered.raw.as_str();
    for secret in [SECRET, PAC, "on purpose", "memory", "svc"] {
        assert!(!raw.contains(secret), "{what}: {secret} in\n{raw}");
    }
    let head = raw.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    assert!(!head.contains("\r\nserver:") && !head.contains("\r\nlocation:"), "{head}");
}

/// Every path there is, with every question that may be asked at it, and some that may not.
fn paths() -> Vec<String> {
    let mut paths: Vec<String> = [
        "/",
        "/page/style.css",
        "/page/main.js",
        "/page/views.js",
        "/page/none.js",
        "/queue",
        "/queue/",
        "/queue/summary",
        "/queue/plot",
        "/queue/explain",
        "/debug/queue",
        "/debug/queue/summary",
        "/debug/shadow",
        "/metrics",
        "/live",
        "/ready",
        "/queue/pause",
        "/queue/../debug/queue",
        "//queue",
        "/%71ueue",
        "/queue%2fsummary",
        "/api",
        "*",
        "/queue?namespace=",
        "/queue?namespace=team-a&namespace=zz",
        "/queue?namespace=%00",
        "/queue?repository=team-a",
        "/queue?repository=team-a/none",
        "/queue?repository=/",
        "/queue/explain?run=team-a/none",
        "/queue/explain?run=x",
        "/queue/explain?run=team-a/a/b",
        "/queue/plot?repository=team-a/none",
        "/queue?namespace=%ff%fe",
    ]
    .map(str::to_owned)
    .to_vec();
    for what in ["", "/summary", "/plot", "/explain"] {
        // team-a's own, all, another team's, PAC's, and one that isn't there.
        for namespace in ["team-a", OTHERS, PAC, "nowhere", "*", "team-a,zz", "TEAM-A"] {
            paths.push(format!("/queue{what}?namespace={namespace}"));
        }
        for repository in
            ["team-a/repo", "team-a/held", "team-a/refusing", "zzsecret-team/zzsecret-repo", "nowhere/repo"]
        {
            paths.push(format!("/queue{what}?repository={repository}"));
            paths.push(format!("/queue{what}?repository={repository}&namespace=team-a"));
        }
        for run in
            ["team-a/a", "team-a/c", "team-a/h", "team-a/refused", "team-a/passing", "zzsecret-team/zzsecret-one"]
        {
            paths.push(format!("/queue{what}?run={run}"));
            paths.push(format!("/queue{what}?run={run}&repository=zzsecret-team/zzsecret-repo"));
            paths.push(format!("/queue{what}?run={run}&namespace=team-a"));
        }
    }
    paths
}

/// Asks for everything, with a token for so many questions as one may ask at once.
async fn asks_for_all(world: &World, when: &str) -> Vec<(String, Answered)> {
    let (mut all, mut token) = (Vec::new(), String::new());
    for (number, path) in paths().into_iter().enumerate() {
        if number % 30 == 0 {
            token = world.token("team-a", "ci");
        }
        let mut answered = world.tenant_gets(&token, &path).await;
        while answered.status == 429 {
            no_secrets(&answered, &path);
            tokio::time::sleep(Duration::from_millis(100)).await; // as it was told
            answered = world.tenant_gets(&token, &path).await;
        }
        no_secrets(&answered, &format!("{when}: {path}"));
        assert_ne!(answered.status, 0, "{when}: {path}");
        all.push((path, answered));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "has the development cluster give tokens and rights")]
async fn a_tenant_sees_their_own_and_no_name_of_anybody_elses_in_any_byte() {
    let world = world().await;
    let token = world.token("team-a", "ci");
    world.tenant_gets_status(&token, "/queue/summary?namespace=team-a", 200).await;
    let own = world.tenant_gets(&token, "/queue?namespace=team-a").await.json();
    let names: Vec<&str> =
        own["repositories"].as_array().unwrap().iter().filter_map(|one| one["repository"].as_str()).collect();
    assert_eq!(names, ["team-a/held", "team-a/refusing", "team-a/repo", "team-a/unlimited"]);
    let explained = world.tenant_gets(&token, "/queue/explain?run=team-a/c").await.json();
    assert_eq!((&explained["answer"], &explained["ahead"]), (&json!("waiting"), &json!(["team-a/b"])));
    let because = |run: &str| format!("/queue/explain?run=team-a/{run}");
    for (run, part) in
        [("h", "paused until it is resumed: the registry moves"), ("refused", "refused"), ("a", "it runs")]
    {
        let told = world.tenant_gets(&token, &because(run)).await.json();
        assert!(told["because"].as_str().unwrap().contains(part), "{told}");
    }
    // A run that the watch doesn't show any more is read.
    world.finish("passing").await;
    world.state_is("passing", "completed").await;
    let when_well = asks_for_all(&world, "all is well").await;
    let seen = |part: &str| when_well.iter().any(|(_, answered)| answered.raw.contains(part));
    for part in
        ["\"passed-over\"", "\"refused\"", "the registry moves", "team-a/held", "the watcher's operators can see why"]
    {
        assert!(seen(part), "{part} is nowhere, so that nothing was tried");
    }

    // While the store is away, whose words name hosts.
    world.watcher().store.away.store(true, Ordering::Relaxed);
    world.event("repo", &["d"]).await;
    world.watcher().shows(world.watcher().admin_addr, "/debug/queue", "on purpose", true).await;
    asks_for_all(&world, "without a store").await;
    world.watcher().store.away.store(false, Ordering::Relaxed);

    // While the API server refuses to say who is who, in words of its own.
    let action =
        FaultAction::Error { status: 500, reason: "InternalError".to_owned(), message: format!("{OTHERS} failed") };
    let reviews = ["tokenreviews", "subjectaccessreviews"];
    let rules = reviews.map(|review| world.cluster.faults().add(FaultRule::new(action.clone()).resource(review)));
    world.tenant_gets_status(&token, "/queue/summary?namespace=team-a", 503).await;
    for (path, answered) in asks_for_all(&world, "without reviews").await {
        assert!([503, 400].contains(&answered.status), "{path}: {}", answered.raw);
    }
    rules.into_iter().for_each(|rule| world.cluster.faults().remove(rule));
    world.tenant_gets_status(&token, "/queue/summary?namespace=team-a", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "has the development cluster give tokens and rights")]
async fn a_namespace_that_is_forbidden_looks_as_one_that_is_not_there() {
    let world = world().await;
    let (tenant, operator) = (world.token("team-a", "ci"), world.token(PAC, "ops"));
    world.tenant_gets_status(&operator, "/queue", 200).await;
    for ask in ["namespace=NS", "repository=NS/zzsecret-repo", "run=NS/zzsecret-one"] {
        for what in ["", "/summary", "/plot", "/explain"] {
            let path = |namespace: &str| format!("/queue{what}?{}", ask.replace("NS", namespace));
            let forbidden = world.tenant_gets_status(&tenant, &path(OTHERS), 403).await.timeless();
            let unknown = world.tenant_gets_status(&tenant, &path("nowhere"), 403).await.timeless();
            assert_eq!(forbidden, unknown, "{what} {ask}");
        }
    }
    let all = world.tenant_gets_status(&operator, "/queue/summary", 200).await;
    assert!(all.raw.contains("zzsecret-team/zzsecret-repo") && all.raw.contains("team-a/repo"), "{}", all.raw);
    // Watchers and stores are the operators' of the admin port, not of this one.
    assert!(!all.raw.contains("zzsecret-node-0") && !all.raw.contains("memory"), "{}", all.raw);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "has the development cluster give tokens and rights")]
async fn who_shows_no_token_or_a_wrong_one_gets_nothing_and_nobody_is_somebody_else() {
    let world = world().await;
    let address = world.watcher().tenants_addr;
    let tenant = world.token("team-a", "ci");
    let own = "/queue/summary?namespace=team-a";
    world.tenant_gets_status(&tenant, own, 200).await;

    let bearer = format!("Bearer {tenant}");
    let get = |path: &str| format!("GET {path} HTTP/1.1");
    for headers in
        [&[][..], &[("Authorization", "Basic YTpi")], &[("Authorization", &bearer), ("Authorization", &bearer)]]
    {
        let answered = ask(address, &get(own), headers).await;
        assert_eq!(answered.status, 401, "{}", answered.raw);
        assert!(answered.raw.to_ascii_lowercase().contains("www-authenticate: bearer"), "{}", answered.raw);
        no_secrets(&answered, "no token");
    }
    let with = |place: &str| format!("{own}&access_token={tenant}&{place}={tenant}");
    assert_eq!(ask(address, &get(&with("token")), &[]).await.status, 401);

    // Of another audience, expired, of somebody who is gone, made up, of an OpenID provider for the API server.
    let cluster = world.cluster.development();
    let api = "https://kubernetes.default.svc.cluster.local";
    let lasts = Duration::from_secs(3600);
    let expired = world.token_for("team-a", "ci", pac_watcher::AUDIENCE, Duration::ZERO);
    world.tenant("team-a", "gone", "get");
    let gone = world.token("team-a", "gone");
    cluster.store().delete("serviceaccounts", "team-a", "gone").unwrap();
    let wrong = [
        world.token_for("team-a", "ci", api, lasts),
        expired,
        gone,
        "made.up".to_owned(),
        cluster.access().token_of_user("alice", &["team-a"], lasts),
    ];
    for token in wrong {
        let answered = world.tenant_gets(&token, own).await;
        assert_eq!(answered.status, 401, "{}", answered.raw);
        no_secrets(&answered, "a wrong token");
        assert!(!answered.raw.contains(&token) && !world.watcher().log_text().contains(&token));
    }

    // Who they say they are counts for nothing.
    for header in ["Impersonate-User", "Impersonate-Group", "X-Remote-User", "X-Forwarded-User", "X-Remote-Group"] {
        let name =
            if header.ends_with("Group") { "system:masters" } else { "system:serviceaccount:pipelines-as-code:ops" };
        let answered = ask(address, &get("/queue/summary"), &[("Authorization", &bearer), (header, name)]).await;
        assert_eq!(answered.status, 403, "{header}: {}", answered.raw);
        no_secrets(&answered, header);
    }

    // Nothing can be changed, and nothing too large be asked.
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "NONSENSE"] {
        let answered = ask(address, &format!("{method} {own} HTTP/1.1"), &[("Authorization", &bearer)]).await;
        assert!([405, 400].contains(&answered.status), "{method}: {}", answered.raw);
        no_secrets(&answered, method);
    }
    let head = ask(address, &format!("HEAD {own} HTTP/1.1"), &[("Authorization", &bearer)]).await;
    assert!(head.status == 200 && head.raw.ends_with("\r\n\r\n"), "{}", head.raw);
    let long = "x".repeat(200 << 10);
    let large = ask(address, &get(own), &[("Authorization", &bearer), ("X-Long", &long)]).await;
    assert!([431, 0].contains(&large.status), "{}", large.raw);
    no_secrets(&large, "too large");
    assert_eq!(world.watcher().log_count(&tenant), 0, "a token in the log");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "has the development cluster give tokens and rights")]
async fn who_loses_a_right_is_shut_out_soon_and_who_asks_too_often_at_once() {
    let world = world().await;
    let token = world.token("team-a", "ci");
    let own = "/queue/summary?namespace=team-a";
    world.tenant_gets_status(&token, own, 200).await;
    let store = world.cluster.development().store();
    let binding = store.get("rolebindings", "team-a", "ci").unwrap();
    store.delete("rolebindings", "team-a", "ci").unwrap();
    world.tenant_gets_status(&token, own, 403).await;
    let again = json!({"metadata": {"name": "ci"}, "subjects": binding["subjects"], "roleRef": binding["roleRef"]});
    store.create("rolebindings", "team-a", again).unwrap();
    world.tenant_gets_status(&token, own, 200).await;

    // Many who make up tokens keep out no one who is known, and the API server is asked about a few of them.
    let rule =
        world.cluster.faults().add(FaultRule::new(FaultAction::Latency(Duration::ZERO)).resource("tokenreviews"));
    let mut refused = Vec::new();
    for number in 0..200 {
        refused.push(world.tenant_gets(&format!("made-up-{number}"), own).await.status);
    }
    assert!(refused.iter().all(|status| [401, 429].contains(status)), "{refused:?}");
    assert!(refused.contains(&429));
    assert!(world.cluster.faults().strikes(rule) < 150, "{}", world.cluster.faults().strikes(rule));
    world.tenant_gets_status(&token, own, 200).await;

    // One who asks again and again is asked to wait, and others aren't.
    let other = world.token("team-a", "ci");
    world.tenant_gets_status(&other, own, 200).await;
    let mut told = Vec::new();
    for _ in 0..100 {
        told.push(world.tenant_gets(&token, own).await.status);
    }
    assert!(told.contains(&429), "{told:?}");
    assert_eq!(world.tenant_gets(&token, "/").await.status, 200, "a page that lacks a file would say nothing for ever");
    assert_eq!(world.tenant_gets(&other, own).await.status, 200);
    world.watcher().metrics_have("pac_concurrency", true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "has the development cluster give tokens and rights")]
async fn a_watcher_that_does_not_know_all_yet_answers_nobody() {
    let mut world = World::with_namespace("team-a".to_owned()).await;
    world.tenant("team-a", "ci", "get");
    let token = world.token("team-a", "ci");
    let list =
        world.cluster.faults().add(FaultRule::new(FaultAction::NeverAnswer).verb("list").resource("pipelineruns"));
    world.start_watcher();
    let starting = world.tenant_gets_status(&token, "/queue/summary?namespace=team-a", 503).await;
    assert!(starting.raw.contains("doesn't know all there is yet"), "{}", starting.raw);
    world.cluster.faults().remove(list);
}

/// The page as a browser shows it to somebody behind a proxy that forwards who they are.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "has the development cluster give tokens and rights")]
async fn a_browser_shows_a_tenant_their_namespace_and_an_operator_all() {
    let world = world().await;
    let mut browser = Browser::start().await;
    let address = |rest: &str| format!("http://{}/{rest}", world.watcher().tenants_addr);
    let tenant = world.token("team-a", "ci");
    world.tenant_gets_status(&tenant, "/queue/summary?namespace=team-a", 200).await;

    browser.call("Network.enable", json!({})).await;
    let signed_in = |token: &str| json!({"headers": {"Authorization": format!("Bearer {token}")}});
    browser.call("Network.setExtraHTTPHeaders", signed_in(&tenant)).await;
    browser.open(&address("")).await;
    browser.says("Which namespace?").await;
    browser.says("name one whose PipelineRuns you may get").await;
    browser.eval("document.querySelector('#namespace').focus()").await;
    browser.call("Input.insertText", json!({"text": "team-a"})).await;
    browser.eval("document.querySelector('#namespace').dispatchEvent(new Event('change'))").await;
    browser.says("team-a/repo").await;
    browser.until("location.search === '?namespace=team-a'").await;
    browser.says("4 Repositories").await;
    browser.until("document.querySelector('#plot svg')").await;
    browser.eval("document.querySelector('a[href=\"#team-a/repo\"]').click()").await;
    browser.says("team-a/repo: limit 1, 1 running, 2 waiting").await;
    browser.eval("document.querySelector('a[href=\"#team-a/repo/c\"]').click()").await;
    browser.says("It waits for a slot, of which one is taken; one run is before it.").await;
    assert!(!browser.text().await.contains(SECRET));
    browser.open(&address(&format!("?namespace={OTHERS}"))).await;
    browser.says("You may not get PipelineRuns of that namespace, or there is no such namespace.").await;
    browser.open(&address("#nowhere/repo")).await;
    browser.says("nowhere/repo is not known").await;
    look(&mut browser, &address, "tenant", &["?namespace=team-a", "", "?namespace=team-a#team-a/repo"]).await;

    browser.call("Network.setExtraHTTPHeaders", signed_in(&world.token(PAC, "ops"))).await;
    browser.open(&address("")).await;
    browser.says("zzsecret-team/zzsecret-repo").await;
    browser.says("team-a/repo").await;
    look(&mut browser, &address, "operator", &["", "?namespace=team-a#team-a/repo/c"]).await;
}

/// Each place is readable on a desktop and on a phone, in light and in dark; `PAC_TEST_PICTURES` names a folder for what it looks like.
async fn look(browser: &mut Browser, address: &impl Fn(&str) -> String, who: &str, places: &[&str]) {
    let pictures = std::env::var("PAC_TEST_PICTURES").ok();
    // The last of them is for people alone: it is one that the admin port has, too.
    let places = if pictures.is_some() { places } else { &places[..places.len() - 1] };
    for colours in ["light", "dark"] {
        for (device, width, height) in [("desktop", 1280, 900), ("phone", 390, 844)] {
            for (number, place) in places.iter().enumerate() {
                browser.look(width, height, colours).await;
                browser.open(&address(place)).await;
                browser.until("document.querySelector('#view table, #view h2')").await;
                let problems: Value = browser.eval(readable::PROBLEMS).await;
                assert_eq!(problems, json!([]), "{who} {place} {device} {colours}");
                // Every column is seen without moving the table.
                let fits = "[...document.querySelectorAll('.table')].every(one => one.scrollWidth <= one.clientWidth)";
                assert_eq!(browser.eval(fits).await, true, "{who} {place} {device} {colours}");
                if let Some(folder) = &pictures {
                    let name = format!("{who}-{number}-{device}-{colours}.png");
                    browser.picture(&std::path::Path::new(folder).join(name)).await;
                }
            }
        }
    }
}
