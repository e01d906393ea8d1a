//! The page on the admin port, as a browser shows it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use pac_devservers::proxy::{Passage, Proxy};
use pac_kube::api::labels::PAUSED;
use serde_json::{Value, json};
use support::browser::Browser;
use support::{World, readable};

/// What somebody might write where the page shows it.
const MARKUP: &str = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

/// The page's address, with what comes after its `/`.
fn address(world: &World, rest: &str) -> String {
    format!("http://{}/{rest}", world.watcher().admin_addr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_queues_and_runs_and_nobody_elses_markup() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    world.patch_repository("repo", json!({"metadata": {"annotations": {PAUSED: MARKUP}}})).await;
    world.watcher().shows(world.watcher().admin_addr, "/debug/queue/summary", "onerror", true).await;
    world.settled().await;
    let name = format!("{}/repo", world.namespace);
    let mut browser = Browser::start().await;

    browser.open(&address(&world, "")).await;
    browser.says("watcher-0 · leads · memory").await;
    browser.says(MARKUP).await;
    browser.until("document.title === '2 waiting · Queues of PipelineRuns'").await;

    // One Repository, its limit and its axis.
    browser.eval(&format!("document.querySelector('a[href=\"#{name}\"]').click()")).await;
    for part in [&format!("{name}: limit 1, 1 running, 2 waiting"), "queued at place", "given a slot by", MARKUP] {
        browser.says(part).await;
    }
    browser.until(&format!("document.title === '2 waiting in {name} · Queues of PipelineRuns'")).await;
    browser.until("document.querySelector('#plot line.limit')").await;
    // Two have waited when a sample was taken, at most ten seconds ago, and the limit is where the scale has it.
    let scale = |chart: &str| {
        let labels = format!("document.querySelectorAll('[data-key={chart}] .scale span:not(.room)')");
        format!("[...{labels}].map(one => one.innerText).join()")
    };
    browser.until(&format!("{} === '2,1,0'", scale("waiting"))).await;
    assert_eq!(browser.eval(&scale("running")).await, "1,,0");
    assert_eq!(browser.eval("document.querySelector('line.limit').getAttribute('y1')").await, "0.0");

    // One run, and why it waits.
    browser.eval(&format!("document.querySelector('a[href=\"#{name}/c\"]').click()")).await;
    browser.says(&format!("{}/c: paused", world.namespace)).await;
    browser.says(&format!("Repository {name} is paused until it is resumed: {MARKUP}")).await;
    browser.says("Before it: b.").await;
    assert_eq!(browser.eval("document.querySelectorAll('img, main script').length").await, 0);

    browser.open(&address(&world, "#none/such")).await;
    browser
        .says("Nothing is known of Repository none/such: there is no such object, and no PipelineRun names it.")
        .await;
    browser.open(&address(&world, "#none/such/run")).await;
    browser.says("There is no PipelineRun run in namespace none.").await;
    browser.open(&address(&world, "#../such")).await;
    browser.says("../such is not known").await;
    browser.says("watcher-0 · leads").await;
    assert!(!browser.text().await.contains("doesn't answer"), "it did");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_answers_no_more_is_told_with_the_time() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let way = Proxy::start(world.watcher().admin_addr.port()).unwrap();
    let mut browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{}/", way.port())).await;
    browser.says("repo").await;
    for (passage, why) in [(Passage::Held, "nothing for 5 s"), (Passage::Closed, "Failed to fetch")] {
        browser.says("watcher-0 · leads").await;
        way.set(passage);
        browser.says(&format!("The watcher doesn't answer: {why}. What is shown is from ")).await;
        browser.says("last heard of ").await;
        browser.until("document.title.startsWith('No answer · ')").await;
        let text = browser.text().await;
        assert!(!text.contains("leads") && text.contains("repo"), "{text}");
        way.set(Passage::Open);
        browser.until("!document.querySelector('#alarm').innerText").await;
        browser.until("!document.title.includes('No answer')").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redraw_keeps_the_keyboards_place_and_what_is_selected() {
    let world = World::new().await;
    for name in ["one", "two"] {
        world.repository(name, Some(1)).await;
    }
    world.event("one", &["a", "b"]).await;
    world.watcher().metrics_have("pac_concurrency_waiting_runs", true).await;
    let mut browser = Browser::start().await;
    browser.open(&address(&world, "")).await;
    browser.says("2 Repositories · 1 idle · 1 running · 1 waiting").await;
    let link = |name: &str| format!("document.querySelector('a[href=\"#{}/{name}\"]')", world.namespace);
    let select = format!("getSelection().selectAllChildren({})", link("one"));
    browser.eval(&format!("window.kept = {}; kept.focus(); {select}", link("two"))).await;

    // Numbers change, and the second comes to be the first.
    world.event("two", &["c", "d", "e"]).await;
    world.finish("a").await;
    world.started("b").await;
    world.finish("b").await;
    browser.says("2 Repositories · 1 idle · 1 running · 2 waiting").await;
    browser.until(&format!("document.querySelector('tbody a') === {}", link("two"))).await;
    assert_eq!(browser.eval("document.activeElement === kept && kept.isConnected").await, true);
    assert_eq!(browser.eval("getSelection().toString().trim()").await, format!("{}/one", world.namespace));

    // One that is gone takes nothing else with it.
    world.delete_repository("one").await;
    browser.says("1 Repository · ").await;
    assert_eq!(browser.eval("document.activeElement === kept && kept.isConnected").await, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn among_many_repositories_the_oldest_wait_comes_first_and_the_choice_stays_in_the_address() {
    let world = World::new().await;
    for number in 0..260 {
        world.repository(&format!("idle-{number:03}"), Some(1)).await;
    }
    world.repository("zebra.old", Some(1)).await;
    world.repository("queue.busy", Some(1)).await;
    world.event("zebra.old", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.event("queue.busy", &["c", "d", "e"]).await;
    world.running(&["a", "c"]).await;
    let mut browser = Browser::start().await;
    browser.open(&address(&world, "")).await;
    browser.says("262 Repositories · 260 idle · 2 running · 3 waiting").await;
    browser.says("and 62 more").await;
    let first = "document.querySelector('tbody a').innerText";
    // Creation times have whole seconds: where both are of one, names decide.
    browser.until(&format!("/zebra.old|queue.busy/.test({first})")).await;

    let click = |what: &str| format!("document.querySelector('{what}').click()");
    browser.eval(&click("[data-sort=waiting]")).await;
    browser.until(&format!("{first}.endsWith('/queue.busy') && location.search === '?sort=waiting'")).await;
    browser.eval(&click("[data-sort=waiting]")).await;
    browser
        .until(&format!("{first}.endsWith('/idle-000') && location.search === '?sort=waiting&order=reversed'"))
        .await;
    browser.eval(&click("#hide-idle")).await;
    browser.until(&format!("{first}.endsWith('/zebra.old') && !document.body.innerText.includes('more')")).await;
    let write =
        |text: &str| format!("document.execCommand('selectAll'); document.execCommand('insertText', false, '{text}')");
    browser.eval(&format!("document.querySelector('#filter').focus(); {}", write("zEBRA"))).await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    browser.eval("location.reload()").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    let kept = "location.search === '?name=zEBRA&idle=hide&sort=waiting&order=reversed'";
    browser.until(&format!("{kept} && document.querySelector('#filter').value === 'zEBRA'")).await;
    browser.until("document.querySelector('[aria-sort]').innerText.trim() === 'Waiting'").await;

    browser.eval(&format!("document.querySelector('#filter').focus(); {}", write("nowhere"))).await;
    browser.says("No Repository has “nowhere” in its name.").await;
    browser.eval(&format!("document.querySelector('#filter').focus(); {}", write("idle-1"))).await;
    browser.says("Those with “idle-1” in their name are idle, and hidden.").await;
    browser.open(&address(&world, &format!("#{}/idle-000", world.namespace))).await;
    browser.says("Nothing runs, and nothing waits.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_cut_broken_or_too_faint_to_read() {
    let world = World::new().await;
    let long = "search-indexer-for-the-customer-facing-catalogue-of-the-north";
    world.repository(long, Some(1)).await;
    world.repository("unlimited", None).await;
    let runs = ["on-pull-request-build-and-test-with-a-long-name-7x2kq", "b"];
    world.event(long, &runs).await;
    world.running(&runs[..1]).await;
    let paused = json!({"metadata": {"annotations": {PAUSED: "the registry moves ".repeat(20)}}});
    world.patch_repository(long, paused).await;
    world.watcher().shows(world.watcher().admin_addr, "/debug/queue/summary", "registry", true).await;
    world.settled().await;
    let repository = format!("{}/{long}", world.namespace);
    let mut browser = Browser::start().await;
    for colours in ["light", "dark"] {
        for (width, height) in [(1280, 900), (390, 844)] {
            for place in [String::new(), format!("#{repository}"), format!("#{repository}/b"), "#none/such".to_owned()]
            {
                browser.look(width, height, colours).await;
                browser.open(&address(&world, &place)).await;
                browser.until("document.querySelector('#view table, #view h2')").await;
                let here = format!("{place} {width} {colours}");
                let problems = browser.eval(readable::PROBLEMS).await;
                assert_eq!(problems, json!([]), "{here}");
                if let Ok(file) = std::env::var("PAC_TEST_AXE") {
                    browser.eval(&format!("{};0", std::fs::read_to_string(file).unwrap())).await;
                    let found = browser.eval("axe.run().then(told => told.violations.map(one => [one.id, one.nodes.map(node => node.html)]))").await;
                    assert_eq!(found, json!([]), "{here}");
                }
            }
        }
    }
    // They'd be seen.
    for (change, problem) in readable::SPOILT {
        browser.look(1280, 900, "light").await;
        browser.open(&address(&world, &format!("#{repository}"))).await;
        browser.until("document.querySelector('#view table')").await;
        // At once: the next redraw would mend it.
        let problems = browser.eval(&format!("{change}; {}", readable::PROBLEMS)).await;
        let is_found = |found: &Value| found.as_str().unwrap().starts_with(problem);
        assert!(problems.as_array().unwrap().iter().any(is_found), "{problem}: {problems}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_nobody_looks_at_asks_rarely_and_at_once_when_it_is_looked_at() {
    let world = World::new().await;
    let mut browser = Browser::start().await;
    // Nobody can hide a tab of a browser without a screen.
    let script = "
        window.waits = []; window.asked = 0; window.unseen = false;
        const later = setTimeout, get = fetch;
        setTimeout = (what, wait) => { waits.push(wait); return later(what, wait) };
        fetch = (...what) => { asked += 1; return get(...what) };
        Object.defineProperty(document, 'hidden', { get: () => unseen });
        window.look = seen => { unseen = !seen; document.dispatchEvent(new Event('visibilitychange')) };
    ";
    browser.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    browser.open(&address(&world, "")).await;
    browser.says("There is no Repository").await;
    browser.until("waits.length > 1 && waits.every(wait => wait === 2000)").await;
    browser.eval("look(false)").await;
    browser.until("waits.at(-1) === 30000").await;
    world.repository("repo", Some(1)).await;
    world.watcher().shows(world.watcher().admin_addr, "/debug/queue/summary", "/repo\"", true).await;
    assert_eq!(browser.eval("const before = asked; look(true); asked > before").await, true);
    browser.says("1 Repository · ").await;
    browser.until("waits.at(-1) === 2000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_off_while_runs_wait_is_told_first() {
    let mut world = World::without_watcher().await;
    world.settings(json!({"concurrency-enabled": "false"})).await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.start_watcher();
    let mut browser = Browser::start().await;
    browser.open(&address(&world, "")).await;
    let waiting = "2 PipelineRuns wait, and nobody starts them.";
    browser.says(&format!("The concurrency system is switched off (concurrency-enabled is false). {waiting}")).await;
    browser.says("While the system is switched off nothing is watched, so no Repository is known.").await;
    browser.open(&address(&world, &format!("#{}/repo", world.namespace))).await;
    browser.says("the concurrency system is switched off, and the cluster isn't watched").await;
}
