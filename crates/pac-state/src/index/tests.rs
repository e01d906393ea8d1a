//! Tests of the index as a whole.

use pac_concurrency::{Scope, SlotOwnership, Snapshot};
use pac_kube::convert::Phase;
use pac_kube::hold::Hold;
use pac_kube::notice::NoticeMark;

use super::*;

pub(super) fn view(phase: Phase) -> RunView {
    RunView {
        key: RunKey::new("ns", "run", "uid").unwrap(),
        repository: RepositoryKey::new("ns", "repo").unwrap(),
        created: 0,
        phase,
        begun: None,
        release_reason: None,
        event: None,
        place: None,
        awaits_secret: false,
        has_pacs_order: false,
        hold: Hold::None,
        notice: None,
        complaint: None,
    }
}

#[tokio::test]
async fn what_is_shown_again_is_no_reason_to_look() {
    let key = |name| RepositoryKey::new("ns", name).unwrap();
    let index = Index::new(key("global"));
    assert_eq!(index.apply_run(view(Phase::Waiting)), [key("repo")]);
    assert_eq!(index.apply_run(view(Phase::Waiting)), [], "somebody changed a label");
    assert_eq!(index.apply_run(view(Phase::Running)), [key("repo")]);
    let moved = || RunView { repository: key("other"), ..view(Phase::Running) };
    assert_eq!(index.apply_run(moved()), [key("other"), key("repo")]);
    assert_eq!(index.apply_run(moved()), []);
    let again = || RunView { key: RunKey::new("ns", "run", "uid2").unwrap(), ..moved() };
    assert_eq!(index.apply_run(again()), [key("other")], "another run of that name");
    index.remove_run("ns/run");
    assert_eq!(index.apply_run(again()), [key("other")], "it was gone meanwhile");
}

#[tokio::test]
async fn what_a_run_says_of_its_wait_is_known_and_no_reason_to_look() {
    let key = |name| RepositoryKey::new("ns", name).unwrap();
    let index = Index::new(key("global"));
    let saying = |place: u32, phase| {
        let notice = NoticeMark::new(Some(place), 1, None);
        RunView { notice: Some(notice), ..view(phase) }
    };
    let said = || index.shown(&key("repo")).unwrap().runs[0].notice.and_then(NoticeMark::place);
    index.apply_run(view(Phase::Waiting));
    assert_eq!((index.with_notices(true), index.with_notices(false), said()), (vec![key("repo")], vec![], None));
    assert_eq!((index.apply_run(saying(7, Phase::Waiting)), said()), (vec![], Some(7)), "our own write comes back");
    assert_eq!((index.apply_run(saying(6, Phase::Running)), said()), (vec![key("repo")], Some(6)));
    assert_eq!(index.with_notices(false), [key("repo")], "it is to be taken away");
    assert_eq!(index.take_left_noticed(), []);
    index.remove_run("ns/run");
    assert_eq!(index.take_left_noticed(), [(key("repo"), view(Phase::Waiting).key)]);
    assert_eq!(index.take_left_noticed(), []);
}

#[tokio::test]
async fn a_run_that_is_being_started_is_not_to_be_noticed() {
    let repository = RepositoryKey::new("ns", "repo").unwrap();
    let index = Index::new(repository.clone());
    let run = view(Phase::Waiting).key;
    index.apply_run(view(Phase::Waiting));
    assert!(index.may_be_noticed(&repository, &run));
    assert!(index.with(&repository, |state| state.begin_start(&run, Instant::now())));
    assert!(!index.may_be_noticed(&repository, &run));
    index.with(&repository, |state| state.doubt_start(&run, Instant::now()));
    assert!(index.may_be_noticed(&repository, &run), "it says what came of that start");
    index.apply_run(view(Phase::Running));
    assert!(!index.may_be_noticed(&repository, &run));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_comes_due_during_a_pass_is_asked_for_all_the_same() {
    let key = |name| RepositoryKey::new("ns", name).unwrap();
    let (index, settles) = (Index::new(key("global")), Duration::from_secs(SETTLE_SECONDS.into()));
    index.apply_run(view(Phase::Waiting));
    let seen = Instant::now();
    tokio::time::advance(settles - Duration::from_millis(1)).await;
    index.with(&key("repo"), |state| {
        let limit = Limit::Unlimited;
        let plan = state.decide(limit, Scope::Head, &Snapshot::empty(), &|_| SlotOwnership::Mine, Instant::now());
        assert_eq!(plan.enqueued, [], "its place may still be to come");
    });
    // So long did the commit take.
    tokio::time::advance(Duration::from_millis(5)).await;
    assert_eq!(index.with(&key("repo"), |state| state.next_look()), Some(seen + settles), "P4");
}

#[test]
fn to_ask_for_a_limit_makes_no_repository_known() {
    let key = |name| RepositoryKey::new("ns", name).unwrap();
    let index = Index::new(key("global"));
    assert_eq!(index.limit(&key("repo")), Limit::Unknown);
    assert!(index.repositories().is_empty() && index.tallies().is_empty());
}

#[test]
fn a_repository_that_can_not_be_read_holds_and_lifts_no_limit() {
    let key = |name| RepositoryKey::new("ns", name).unwrap();
    let index = Index::new(key("global"));
    index.apply_repository(&key("global"), OwnLimit::Says(Some(2)));
    index.apply_repository(&key("repo"), OwnLimit::Says(None));
    let inherited = index.limit(&key("repo"));
    assert_eq!(inherited.free(0), 2);
    index.apply_repository(&key("global"), OwnLimit::Unreadable);
    assert_eq!(index.limit(&key("repo")), inherited, "what it said before stays");
    index.apply_repository(&key("repo"), OwnLimit::Unreadable);
    assert_eq!(index.limit(&key("repo")), Limit::Unknown, "P10");
}

#[test]
fn a_global_repository_that_could_never_be_read_holds_those_that_inherit() {
    let key = |name| RepositoryKey::new("ns", name).unwrap();
    let index = Index::new(key("global"));
    index.apply_repository(&key("repo"), OwnLimit::Says(None));
    index.apply_repository(&key("own"), OwnLimit::Says(Some(3)));
    assert_eq!(index.limit(&key("repo")), Limit::Unlimited);
    let touched = index.apply_repository(&key("global"), OwnLimit::Unreadable);
    assert!(touched.contains(&key("repo")));
    assert_eq!(index.limit(&key("repo")), Limit::Unknown, "P1: nobody knows what its limit is");
    assert_eq!(index.limit(&key("own")).free(0), 3);
    index.apply_repository(&key("global"), OwnLimit::Missing);
    assert_eq!(index.limit(&key("repo")), Limit::Unlimited);
}
