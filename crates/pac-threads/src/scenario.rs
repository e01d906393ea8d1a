//! What threads do with each file, as macros: once with the product's own, once with the copy that has a race in it.

/// Threads that ask for looks, and workers that make them.
macro_rules! of_queue {
    ($queue:path) => {
        /// Two workers, and two threads that ask for looks now and later. Each request is followed by a look that begins after it, no
        /// repository is looked at by two at once, and one that takes long holds up no other.
        pub fn every_request_is_followed_by_a_look() {
            use std::collections::BTreeMap;
            use std::sync::Arc;
            use std::time::Duration;

            use pac_concurrency::{RepositoryKey, Scope};
            use shuttle::sync::Mutex;
            use $queue as product;

            use crate::sync::{Instant, pass_time};

            #[derive(Default)]
            struct Ledger {
                asked: BTreeMap<&'static str, u32>,
                looked: BTreeMap<&'static str, u32>,
                under_way: Vec<&'static str>,
                asking: u32,
                stopped: bool,
            }

            const NAMES: [&str; 5] = ["slow", "other", "later", "stop-1", "stop-2"];
            let key = |name: &str| RepositoryKey::new("ns", name).unwrap_or_else(|_| unreachable!());
            let queue = Arc::new(product::WorkQueue::default());
            let ledger = Arc::new(Mutex::new(Ledger { asking: 2, ..Ledger::default() }));
            let (saw_other, other_was_seen) = futures::channel::oneshot::channel::<()>();
            let saw_other = Arc::new(Mutex::new(Some(saw_other)));
            let other_was_seen = Arc::new(Mutex::new(Some(other_was_seen)));
            let stop_if_all_is_done = {
                let (queue, ledger) = (Arc::clone(&queue), Arc::clone(&ledger));
                move || {
                    let is_done = {
                        let mut ledger = ledger.lock().unwrap();
                        let is_done = ledger.asking == 0 && ledger.asked == ledger.looked && !ledger.stopped;
                        ledger.stopped |= is_done;
                        is_done
                    };
                    if is_done {
                        queue.add(key("stop-1"), Scope::Head);
                        queue.add(key("stop-2"), Scope::Whole);
                    }
                }
            };
            let ask = {
                let ledger = Arc::clone(&ledger);
                move |name| *ledger.lock().unwrap().asked.entry(name).or_default() += 1
            };
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    let (queue, ledger, stop) = (Arc::clone(&queue), Arc::clone(&ledger), stop_if_all_is_done.clone());
                    let (saw_other, other_was_seen) = (Arc::clone(&saw_other), Arc::clone(&other_was_seen));
                    shuttle::future::spawn(async move {
                        loop {
                            let (found, _) = queue.next().await;
                            let name = NAMES.into_iter().find(|name| *name == found.name()).unwrap();
                            if name.starts_with("stop") {
                                queue.done(&found);
                                return;
                            }
                            let asked = {
                                let mut ledger = ledger.lock().unwrap();
                                assert!(!ledger.under_way.contains(&name), "two look at {name} at once");
                                ledger.under_way.push(name);
                                ledger.asked.get(name).copied().unwrap_or_default()
                            };
                            if name == "other"
                                && let Some(saw) = saw_other.lock().unwrap().take()
                            {
                                let _ = saw.send(());
                            }
                            let is_seen = if name == "slow" { other_was_seen.lock().unwrap().take() } else { None };
                            if let Some(is_seen) = is_seen {
                                let _ = is_seen.await;
                            }
                            {
                                let mut ledger = ledger.lock().unwrap();
                                ledger.under_way.retain(|other| *other != name);
                                ledger.looked.insert(name, asked);
                            }
                            queue.done(&found);
                            stop();
                        }
                    })
                })
                .collect();
            let asking = |names: [(&'static str, Scope); 2], later: bool| {
                let (queue, ledger, ask, stop) =
                    (Arc::clone(&queue), Arc::clone(&ledger), ask.clone(), stop_if_all_is_done.clone());
                shuttle::thread::spawn(move || {
                    if later {
                        ask("later");
                        queue.add_later(key("later"), Scope::Head, Instant::now() + Duration::from_secs(2));
                        queue.add_later(key("later"), Scope::Whole, Instant::now() + Duration::from_secs(9));
                        pass_time(Duration::from_secs(2));
                    }
                    for (name, scope) in names {
                        ask(name);
                        queue.add(key(name), scope);
                    }
                    ledger.lock().unwrap().asking -= 1;
                    stop();
                })
            };
            let askers = [
                asking([("slow", Scope::Head), ("other", Scope::Whole)], false),
                asking([("other", Scope::Head), ("slow", Scope::Head)], true),
            ];
            askers.into_iter().for_each(|asker| asker.join().unwrap());
            workers.into_iter().for_each(|worker| shuttle::future::block_on(worker).unwrap());
        }
    };
}

/// Passes and news; renewals and the end of a term.
macro_rules! of_manager {
    () => {
        use pac_concurrency::{DriverError, Fault};

        async fn timed<T>(
            _: &dyn pac_concurrency::Driver,
            _: &'static str,
            call: impl Future<Output = Result<T, DriverError>>,
        ) -> Result<T, DriverError> {
            // The answer takes a while.
            shuttle::future::yield_now().await;
            let answer = call.await;
            shuttle::future::yield_now().await;
            answer
        }

        fn untrusted() -> DriverError {
            DriverError::Unavailable(Fault::new("not trusted"))
        }

        /// One makes passes, two hear that others changed the store: what is remembered in the end is not older than the news.
        pub fn what_others_changed_is_not_remembered() {
            use std::sync::Arc;

            use pac_concurrency::{RepositoryKey, Snapshot, Version};
            use shuttle::sync::atomic::{AtomicU64, Ordering};

            let repository = RepositoryKey::new("ns", "repo").unwrap_or_else(|_| unreachable!());
            let cache = Arc::new(snapshot_cache::SnapshotCache::default());
            let store = Arc::new(AtomicU64::new(1));
            let hearing = |all: bool| {
                let (cache, store, repository) = (Arc::clone(&cache), Arc::clone(&store), repository.clone());
                shuttle::thread::spawn(move || {
                    store.fetch_add(1, Ordering::SeqCst);
                    if all { cache.invalidate_all() } else { cache.invalidate(&repository) }
                })
            };
            let hearers = [hearing(false), hearing(true)];
            for _ in 0..2 {
                let mut known = cache.take(&repository);
                let version = Version::new(store.load(Ordering::SeqCst));
                known.snapshot.get_or_insert_with(|| Snapshot { version, ..Snapshot::empty() });
                cache.put_back(&repository, known);
            }
            hearers.into_iter().for_each(|hearer| hearer.join().unwrap());
            let known = cache.take(&repository);
            let now = Version::new(store.load(Ordering::SeqCst));
            assert!(known.snapshot.is_none_or(|snapshot| snapshot.version == now), "what is remembered is stale");
        }

        /// A renewal is under way while the term is ended: it is not relied on afterwards, and the store has nobody left.
        pub fn a_term_that_was_ended_stays_so() {
            use std::sync::Arc;
            use std::time::Duration;

            use pac_concurrency::Driver;
            use pac_driver_mem::MemDriver;

            let driver = Arc::new(MemDriver::new(Duration::from_secs(3600)));
            let term = Arc::new(term::Term::new("watcher", driver.lease_ttl()));
            shuttle::future::block_on(term.keep(&*driver)).unwrap();
            let renewing = {
                let (driver, term) = (Arc::clone(&driver), Arc::clone(&term));
                shuttle::future::spawn(async move { term.keep(&*driver).await.unwrap() })
            };
            let asking = {
                let (driver, term) = (Arc::clone(&driver), Arc::clone(&term));
                shuttle::future::spawn(async move {
                    if let Ok(holder) = term.trusted() {
                        // It was the store's word until it was ended.
                        let lasts = driver.holders().await.unwrap().contains(&holder);
                        assert!(lasts || term.trusted().is_err(), "{holder} is relied on");
                    }
                })
            };
            let ended = term.end();
            shuttle::future::block_on(driver.end(&ended)).unwrap();
            shuttle::future::block_on(renewing).unwrap();
            shuttle::future::block_on(asking).unwrap();
            assert!(term.trusted().is_err(), "a term that was ended is relied on");
        }
    };
}

pub(crate) use {of_manager, of_queue};
