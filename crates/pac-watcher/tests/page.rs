//! The page on the admin port, as a browser shows it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::process::Command;

use pac_devservers::find;
use pac_watcher::api::labels::PAUSED;
use serde_json::json;
use support::World;

/// What somebody might write where the page shows it.
const MARKUP: &str = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

/// Has headless Chromium load the page, and says what it comes to.
fn chromium(world: &World, fragment: &str, arguments: &[&str]) -> String {
    let program = find("chromium").unwrap_or_else(|| panic!("no chromium: apt-get install chromium"));
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    // Time goes on while the page waits for nothing but time, so that it has its answers when it is looked at.
    command.arg("--virtual-time-budget=3000").args(arguments);
    command.arg(format!("http://{}/{fragment}", world.watcher().admin_addr));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_the_queues_and_nobody_elses_markup() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    world.patch_repository("repo", json!({"metadata": {"annotations": {PAUSED: MARKUP}}})).await;
    world.watcher().shows(world.watcher().admin_addr, "/debug/queue/summary", "onerror", true).await;
    world.settled().await;

    let listed = chromium(&world, "", &["--dump-dom"]);
    let name = format!("{}/repo", world.namespace);
    for part in [format!("href=\"#{name}\""), "watcher-0 · leads · memory".to_owned(), "<polyline".to_owned()] {
        assert!(listed.contains(&part), "no {part:?} in {listed}");
    }
    let shown = chromium(&world, &format!("#{name}"), &["--dump-dom"]);
    for part in
        ["limit 1, 1 running, 2 waiting", &format!("{}/a", world.namespace), "queued at place", "given a slot by"]
    {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    for page in [&listed, &shown] {
        assert!(page.contains("&lt;img src=x") && !page.contains("<img"), "{page}");
        assert!(!page.contains("<title>owned"), "{page}");
    }

    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("phone.png");
    chromium(&world, &format!("#{name}"), &["--window-size=500,900", &format!("--screenshot={}", picture.display())]);
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"));

    let told = chromium(&world, "#none/such", &["--dump-dom"]);
    assert!(told.contains("nothing is known of Repository none/such"), "{told}");
}
