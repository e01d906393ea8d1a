//! Lists the objects of a kind and then watches them, for ever, and says at each moment whether it is being told the truth.
//!
//! A watch says nothing while nothing happens, and a dead one says nothing, either. So a watch is asked for a short time
//! only: before it is over the server says how far it has come, and then closes it. One that is silent for longer is given
//! up, and so is a request for one that isn't answered; both begin again where they were. Who has heard nothing for as long as that
//! lists anew: that a watch can be had again, and is silent, says nothing of what there was to tell meanwhile.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Error, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::backoff;
use crate::error::with_causes;

/// How long one watch lasts, in seconds. Two seconds before its end an API server says how far it has come.
const WATCH_LASTS: u32 = 10;
/// Longest silence of a watch. A watch of [`WATCH_LASTS`] is never silent for so long.
const SILENT_FOR: Duration = Duration::from_secs(12);
/// How long a watch that was begun may take to say that it can't go on from there: a server answers that it may be watched, and
/// says that as its first word.
const FIRST_WORD: Duration = Duration::from_millis(100);
/// How long a request for a watch waits for its answer, which comes at once however much there is to tell. So much longer
/// after a failure and after two: a server with too much to do gets no further requests from us for that.
const OPENED_WITHIN: Duration = Duration::from_secs(5);
/// A watch that ends sooner than this and told nothing isn't begun again at once.
const SHORT: Duration = Duration::from_secs(1);
/// First and longest wait before a failed list or watch is tried again: a server that is back is found within seconds.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);
/// Objects of one page of a list.
const PAGE: u32 = 500;

/// What was heard.
#[derive(Debug)]
pub enum News<K> {
    /// A full list begins: what it doesn't have is gone.
    ListBegan,
    /// It has this.
    Listed(K),
    /// It is complete.
    ListEnded,
    /// This is new, or changed.
    Applied(K),
    /// This is gone.
    Deleted(K),
    /// There is nothing new, and whatever comes will be heard.
    Alive,
}

/// Why nothing is heard for now. It is tried again.
#[derive(Debug)]
pub enum Deaf {
    /// A watch broke off, as it does when a server restarts. If it can't be resumed, that is what is said next.
    Broken(String),
    /// There is no list or watch to be had, or the one there was fell silent.
    Failed(String),
}

/// See the [module](self).
pub struct ListWatch<K> {
    api: Api<K>,
    list: ListParams,
    watch: WatchParams,
    state: State<K>,
    failures: u32,
    /// When it was last known that nothing was left to tell.
    heard_at: Instant,
}

enum State<K> {
    /// Nothing is known, or nothing any more.
    Unlisted,
    Listing {
        page: std::vec::IntoIter<K>,
        next: Next,
    },
    /// All is known up to a version.
    Listed(String),
    Watching(Watch<K>),
}

enum Next {
    First,
    Page(String),
    /// There are no more pages; all of them are of this version.
    Watch(String),
}

struct Watch<K> {
    version: String,
    events: BoxStream<'static, kube::Result<WatchEvent<K>>>,
    began: Instant,
    /// Whether it had time for its first word.
    has_begun: bool,
    told: bool,
}

// === impl ListWatch ===

impl<K> ListWatch<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Everything that `api` shows.
    pub fn new(api: Api<K>) -> Self {
        let (list, watch) = (ListParams::default().limit(PAGE), WatchParams::default().timeout(WATCH_LASTS));
        Self { api, list, watch, state: State::Unlisted, failures: 0, heard_at: Instant::now() }
    }

    /// Only what has these labels.
    pub fn labels(self, selector: &str) -> Self {
        Self { list: self.list.labels(selector), watch: self.watch.labels(selector), ..self }
    }

    /// Only what has these fields.
    pub fn fields(self, selector: &str) -> Self {
        Self { list: self.list.fields(selector), watch: self.watch.fields(selector), ..self }
    }

    /// From when on what is known may be old, if nothing is heard by then.
    pub fn stale_at(&self) -> Instant {
        self.heard_at + SILENT_FOR
    }

    /// What is heard next, or why nothing is. It waits for no longer than silence is borne, and what failed is tried again
    /// after a moment.
    pub async fn next(&mut self) -> Result<News<K>, Deaf> {
        let heard = self.step().await;
        if heard.is_err() {
            self.failures += 1;
        }
        heard
    }

    async fn step(&mut self) -> Result<News<K>, Deaf> {
        loop {
            match std::mem::replace(&mut self.state, State::Unlisted) {
                State::Unlisted => {
                    self.state = State::Listing { page: Vec::new().into_iter(), next: Next::First };
                    return Ok(News::ListBegan);
                }
                State::Listing { mut page, next } => {
                    if let Some(object) = page.next() {
                        self.state = State::Listing { page, next };
                        return Ok(News::Listed(object));
                    }
                    let token = match next {
                        Next::Watch(version) => {
                            self.state = State::Listed(version);
                            return Ok(News::ListEnded);
                        }
                        Next::First => None,
                        Next::Page(token) => Some(token),
                    };
                    self.state = self.page(token).await?;
                }
                State::Listed(_) if self.is_stale() => {}
                State::Listed(version) => {
                    let watch = self.open(version).await?;
                    if let Some(news) = self.hear(watch).await? {
                        return Ok(news);
                    }
                }
                State::Watching(watch) => {
                    if let Some(news) = self.hear(watch).await? {
                        return Ok(news);
                    }
                }
            }
        }
    }

    /// The next page of a list. A failure has it begin anew.
    async fn page(&mut self, token: Option<String>) -> Result<State<K>, Deaf> {
        pause(self.failures).await;
        let asked = ListParams { continue_token: token, ..self.list.clone() };
        // How long its connection may be silent is seen to by the client: a long list may take its time.
        let found = self.api.list(&asked).await.map_err(|error| Deaf::Failed(with_causes(&error)))?;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let next = match (filled(found.metadata.continue_), filled(found.metadata.resource_version)) {
            (Some(token), _) => Next::Page(token),
            (None, Some(version)) => Next::Watch(version),
            (None, None) => return Err(Deaf::Failed("a list without a resourceVersion".to_owned())),
        };
        self.heard();
        Ok(State::Listing { page: found.items.into_iter(), next })
    }

    /// Begins a watch where the list, or the watch before, ended.
    async fn open(&mut self, version: String) -> Result<Watch<K>, Deaf> {
        pause(self.failures).await;
        let within = OPENED_WITHIN * (1 + self.failures.min(2));
        let opened = timeout(within, self.api.watch(&self.watch, &version)).await;
        let why = match opened {
            Ok(Ok(events)) => {
                let (events, began) = (events.boxed(), Instant::now());
                return Ok(Watch { version, events, began, has_begun: false, told: false });
            }
            // What happened since is not known any more.
            Ok(Err(Error::Api(status))) if status.code == 410 => return Err(Deaf::Broken(status.message.clone())),
            Ok(Err(error)) => with_causes(&error),
            Err(_) => format!("a watch was asked for, and there is no answer within {} s", within.as_secs()),
        };
        self.state = State::Listed(version);
        Err(Deaf::Failed(why))
    }

    /// The next word of a watch; none if it was closed in good order.
    async fn hear(&mut self, mut watch: Watch<K>) -> Result<Option<News<K>>, Deaf> {
        let patience = if watch.has_begun { SILENT_FOR } else { FIRST_WORD };
        let heard = timeout(patience, watch.events.next()).await;
        let (news, version) = match heard {
            Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => {
                let version = object.resource_version();
                (News::Applied(object), version)
            }
            Ok(Some(Ok(WatchEvent::Deleted(object)))) => {
                let version = object.resource_version();
                (News::Deleted(object), version)
            }
            Ok(Some(Ok(WatchEvent::Bookmark(bookmark)))) => (News::Alive, Some(bookmark.metadata.resource_version)),
            Ok(None) => {
                let too_short = !watch.told && watch.began.elapsed() < SHORT;
                self.state = State::Listed(watch.version);
                if too_short {
                    return Err(Deaf::Broken("closed at once".to_owned()));
                }
                self.heard();
                return Ok(None);
            }
            Ok(Some(Ok(WatchEvent::Error(status)))) => {
                // At 410 what happened since is not known any more.
                if status.code != 410 {
                    self.state = State::Listed(watch.version);
                }
                return Err(Deaf::Broken(format!("{} {}", status.code, status.message)));
            }
            Ok(Some(Err(error))) => {
                self.state = State::Listed(watch.version);
                return Err(Deaf::Broken(with_causes(&error)));
            }
            Err(_) if !watch.has_begun => {
                self.state = State::Watching(Watch { has_begun: true, ..watch });
                if self.is_stale() {
                    return Ok(None);
                }
                self.heard_at = Instant::now();
                return Ok(Some(News::Alive));
            }
            Err(_) => {
                self.state = State::Listed(watch.version);
                return Err(Deaf::Failed(format!("nothing was heard for {} s", SILENT_FOR.as_secs())));
            }
        };
        let Some(version) = version.filter(|version| !version.is_empty()) else {
            return Err(Deaf::Failed("an object without a resourceVersion".to_owned()));
        };
        self.heard();
        self.state = State::Watching(Watch { version, has_begun: true, told: true, ..watch });
        Ok(Some(news))
    }

    fn heard(&mut self) {
        self.failures = 0;
        self.heard_at = Instant::now();
    }

    fn is_stale(&self) -> bool {
        self.stale_at() <= Instant::now()
    }
}

/// Waits until what failed so often in a row may be tried again.
async fn pause(failures: u32) {
    if let Some(before) = failures.checked_sub(1) {
        tokio::time::sleep(backoff::wait(RETRY_FIRST, RETRY_MOST, before)).await;
    }
}
