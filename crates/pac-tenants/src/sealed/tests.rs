//! What others say is in no answer, wherever they say it.

use k8s_openapi::jiff::Timestamp;
use pac_queue::view::EstimateView;
use serde_json::Value;

use super::*;

/// Wherever it is, it must not come out.
const SECRET: &str = "zz-secret-namespace";

fn secret() -> String {
    format!("dial tcp: lookup db.{SECRET}.svc: {SECRET}/x is away")
}

fn record(run: &str, what: Happened) -> Record {
    Record { at: Timestamp::UNIX_EPOCH, run: Some(run.to_owned()), uid: Some("1".to_owned()), what }
}

fn slot(run: &str) -> SlotView {
    SlotView {
        run: run.to_owned(),
        uid: "1".to_owned(),
        state: "running".to_owned(),
        since: Some(Timestamp::UNIX_EPOCH),
        holder: Some(format!("{SECRET}-0:7")),
        lapsed: true,
    }
}

fn watcher() -> WatcherView {
    WatcherView {
        at: Timestamp::UNIX_EPOCH,
        identity: format!("{SECRET}-0"),
        leading: true,
        system: "on".to_owned(),
        paused: true,
        draining: true,
        waiting_while_off: Some(7),
        driver: Some("the-driver".to_owned()),
        trouble: vec![secret()],
    }
}

fn waiting_run(run: &str, note: Option<String>) -> WaitingView {
    let estimate = Some(EstimateView { earliest_seconds: 1.0, latest_seconds: 2.0 });
    WaitingView { position: 1, run: run.to_owned(), uid: "1".to_owned(), since: None, note, estimate }
}

/// Everything that others say has the secret in it, and half of all runs are of its namespace.
fn seeded() -> RepositoryQueue {
    let foreign = format!("{SECRET}/run");
    let holder = format!("{SECRET}-0:7");
    RepositoryQueue {
        repository: "mine/repo".to_owned(),
        limit: LimitView { text: "2".to_owned(), why: None },
        paused: Some(PauseView { reason: "the registry moves".to_owned(), until: None, complaint: None }),
        store_trouble: Some(secret()),
        running: vec![slot("mine/a"), slot(&foreign)],
        waiting: vec![
            waiting_run("mine/b", Some(secret())),
            waiting_run("mine/c", Some(NOT_QUEUED.to_owned())),
            waiting_run(&foreign, None),
        ],
        times_known: 3,
        history: vec![
            record("mine/a", Happened::Admitted { holder: holder.clone() }),
            record("mine/a", Happened::Adopted { holder: holder.clone() }),
            record("mine/a", Happened::TakenOver { holder }),
            record("mine/a", Happened::Refused { why: secret() }),
            record("mine/a", Happened::PassedOver { by: "mine/b".to_owned(), why: secret() }),
            record("mine/a", Happened::PassedOver { by: foreign.clone(), why: secret() }),
            record(&foreign, Happened::Started),
        ],
    }
}

#[test]
fn nothing_of_another_namespace_is_left_in_a_queue() {
    let sealed = Visible::of_namespace("mine").repository(seeded()).unwrap();
    let text = serde_json::to_string(&sealed).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let runs = |slots: &[SlotView]| slots.iter().map(|slot| slot.run.clone()).collect::<Vec<_>>();
    assert_eq!(runs(&sealed.running), ["mine/a"]);
    assert_eq!(sealed.running[0].holder.as_deref(), Some(WATCHER));
    let notes: Vec<_> = sealed.waiting.iter().map(|run| run.note.as_deref()).collect();
    assert_eq!(notes, [Some(REFUSED), Some(NOT_QUEUED)]);
    assert_eq!(sealed.history.len(), 5);
    assert_eq!(sealed.paused.map(|pause| pause.reason).as_deref(), Some("the registry moves"));
    let foreign = RepositoryQueue { repository: format!("{SECRET}/repo"), ..seeded() };
    assert!(Visible::of_namespace("mine").repository(foreign).is_none());
}

#[test]
fn nothing_of_another_namespace_is_left_in_an_explanation_whatever_the_answer() {
    let health = Health::default();
    for part in Part::ALL {
        health.trouble(part, secret());
    }
    // Every answer there is: those that no word of the list is for are found by their place.
    let names = [
        "unknown",
        "foreign",
        "done",
        "running",
        "released",
        "starting",
        "withdrawn",
        "switched-off",
        "not-ready",
        "repository-missing",
        "limit-unreadable",
        "paused",
        "gate",
        "pacs-queue",
        "store-unreachable",
        "api-server-unreachable",
        "refused",
        "arriving",
        "place-to-come",
        "waiting",
    ];
    for name in names {
        let answer: Answer = serde_json::from_value(Value::from(name)).unwrap();
        let queue = seeded();
        let explanation = Explanation {
            watcher: watcher(),
            run: "mine/a".to_owned(),
            repository: Some(format!("{SECRET}/repo")),
            answer,
            because: secret(),
            position: Some(1),
            ahead: vec!["mine/b".to_owned(), format!("{SECRET}/run")],
            holders: queue.running,
            estimate: None,
            times_known: 3,
            history: queue.history,
        };
        let sealed = Visible::of_namespace("mine").explanation(explanation, queue.paused, &health);
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains(SECRET) && !text.contains("the-driver"), "{name}: {text}");
        assert!(!sealed.because.is_empty() && sealed.ahead == ["mine/b"], "{name}: {text}");
        assert_eq!((sealed.watcher.trouble.len(), sealed.watcher.waiting_while_off), (Part::ALL.len(), None));
    }
}

#[test]
fn a_summary_is_shown_to_whom_its_namespace_is() {
    let summary = |repository: &str| Summary {
        repository: repository.to_owned(),
        limit: LimitView { text: "2".to_owned(), why: None },
        paused: None,
        running: 1,
        waiting: 1,
        oldest_waiting_seconds: None,
    };
    let visible = Visible::of_namespace("mine");
    assert!(visible.summary(summary("mine/repo")).is_some());
    for foreign in [format!("{SECRET}/repo"), "mine2/repo".to_owned(), "min/e".to_owned(), "mine".to_owned()] {
        assert!(visible.summary(summary(&foreign)).is_none(), "{foreign}");
    }
}
