//! What a manager asks of its driver beside passes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pac_concurrency::{
    Condition, Delta, Driver, DriverError, Fault, LegacyImport, Manager, ManagerOptions, News, Window,
};
use pac_driver_mem::MemDriver;

use crate::played::{Beside, CONNECTIONS, LEASE, Lossy, entry, repository};

async fn played(beside: Option<Beside>) -> (Manager, Arc<Lossy>) {
    let store = Arc::new(Lossy { beside, ..Lossy::new(&MemDriver::new(LEASE)) });
    let options = ManagerOptions { attempts: 3, ..ManagerOptions::new("watcher") };
    let manager = Manager::new(Arc::clone(&store) as Arc<dyn Driver>, options);
    manager.keep_term().await.unwrap();
    (manager, store)
}

#[tokio::test]
async fn what_a_driver_says_of_itself_is_passed_on() {
    let (manager, _) = played(Some(Beside::default())).await;
    assert_eq!((manager.driver_name(), manager.renewal_interval()), ("memory", LEASE / 4));
    assert_eq!(manager.connections(), Some(CONNECTIONS));
    assert_eq!(manager.condition(), Condition { news: Some(News::Heard), oldest_transaction: None });
    assert!(format!("{manager:?}").contains(&format!("{:?}", manager.holder())));
}

#[tokio::test]
async fn a_past_is_kept_where_the_store_keeps_one() {
    let (manager, _) = played(Some(Beside::default())).await;
    assert_eq!(manager.past(&repository()).await.unwrap(), None);
    manager.keep_past(&repository(), "[1]").await.unwrap();
    assert_eq!(manager.past(&repository()).await.unwrap().as_deref(), Some("[1]"));
    let (manager, _) = played(None).await;
    manager.keep_past(&repository(), "[1]").await.unwrap();
    assert_eq!(manager.past(&repository()).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_left_is_read_and_noted_as_imported() {
    let (manager, store) = played(Some(Beside::default())).await;
    assert_eq!(manager.legacy().await.unwrap().unwrap().source, "a table");
    let taken = LegacyImport { repositories: 1, slots: 2, waiting: 3, ghosts: 4, corrupt: 5 };
    manager.note_imported(&taken).await.unwrap();
    assert_eq!(*store.beside.as_ref().unwrap().imported.lock().unwrap(), Some(taken));
    let (manager, _) = played(None).await;
    assert_eq!(manager.legacy().await.unwrap(), None);
    manager.note_imported(&taken).await.unwrap();
}

#[tokio::test]
async fn what_is_imported_is_committed_whatever_others_do_so_many_times_and_no_more() {
    let delta = Delta { enqueue: vec![entry(1)], ..Delta::default() };
    for (conflicts, imported) in [(2, true), (3, false)] {
        let (manager, store) = played(None).await;
        store.refusals.lock().unwrap().extend((0..conflicts).map(|_| DriverError::Conflict));
        assert_eq!(manager.import(&repository(), &delta).await.is_ok(), imported);
        assert_eq!(store.commits.load(Ordering::Relaxed), 3);
        let waiting = store.load(&repository(), Window::Whole).await.unwrap().waiting;
        assert_eq!(waiting.into_iter().collect::<Vec<_>>(), if imported { vec![entry(1)] } else { vec![] });
    }
    let (manager, store) = played(None).await;
    store.refusals.lock().unwrap().push_back(DriverError::Unavailable(Fault::new("nobody listens")));
    assert!(manager.import(&repository(), &delta).await.is_err());
    assert_eq!(store.commits.load(Ordering::Relaxed), 1, "loading doesn't settle that");
}
