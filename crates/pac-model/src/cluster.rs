//! What the API server has: the runs, the limit, and what watches are yet to be told.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use json_patch::PatchOperation;
use pac_concurrency::{Limit, RepositoryKey, RunKey};
use pac_kube::convert::{FinalState, Phase, RunView};
use pac_kube::execution_order::EventPlace;
use pac_kube::hold::Hold;
use pac_kube::patch::{StartBy, start_patch};
use serde_json::{Value, json};

/// One of a handful of names a run can have.
pub(crate) type Name = u8;

/// Whether the start of a run took effect on the object of another, or its own, where that was in its life.
type Tried = HashMap<(Id, Id, Life), bool>;

/// A run: its name, and how often the name was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    /// The name.
    pub(crate) name: Name,
    /// How many runs had it before.
    pub(crate) generation: u8,
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// Not created yet.
    Unborn,
    /// It waits.
    Pending,
    /// Cancelled while it waited.
    Cancelled,
    /// Being deleted while it waited: a finalizer keeps it.
    Deleting,
    /// It runs.
    Running,
    /// It is done.
    Done,
    /// It was deleted.
    Gone,
}

/// The object of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Object {
    /// How many runs had the name before.
    pub(crate) generation: u8,
    /// Where the run is in its life.
    pub(crate) life: Life,
}

/// One change, as a watch tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Event {
    /// The run.
    pub(crate) id: Id,
    /// Where it is since.
    pub(crate) life: Life,
}

/// What the API server has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cluster {
    /// By name.
    pub(crate) objects: Vec<Object>,
    /// The limit; 0 is none.
    pub(crate) limit: u8,
    /// What happened, as far as a watcher hasn't seen it.
    pub(crate) history: Vec<Event>,
}

/// What a start did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// The run runs.
    Yes,
    /// Nothing: a test of the patch failed.
    No,
    /// It changed what it never should.
    AgainstAWish,
}

// === impl Id ===

impl Id {
    /// The key under which the product knows the run.
    pub(crate) fn key(self) -> RunKey {
        let name = char::from(b'a' + self.name);
        RunKey::new("ns", &name.to_string(), &format!("{}{}", self.name, self.generation))
            .unwrap_or_else(|_| unreachable!())
    }

    /// The run of that key.
    pub(crate) fn of(run: &RunKey) -> Self {
        let uid = run.uid().as_bytes();
        Self { name: uid[0] - b'0', generation: uid[1] - b'0' }
    }

    /// When it was created: names first used earlier, and an earlier run of a name, come first.
    pub(crate) fn created(self) -> i64 {
        i64::from(self.generation) * 100 + i64::from(self.name)
    }

    /// What the watch shows of it; none if it isn't there.
    pub(crate) fn view(self, life: Life) -> Option<RunView> {
        let phase = match life {
            Life::Unborn | Life::Gone => return None,
            Life::Pending => Phase::Waiting,
            Life::Cancelled | Life::Deleting => Phase::Withdrawn,
            Life::Running => Phase::Running,
            Life::Done => Phase::Done(FinalState::Completed),
        };
        let key = self.key();
        // Each is an event of its own, of which nothing is still to come.
        let place = EventPlace { event: self.created().unsigned_abs(), first: key.name().into(), position: 0 };
        Some(RunView {
            key,
            repository: repository(),
            created: self.created(),
            phase,
            begun: None,
            release_reason: None,
            event: None,
            place: Some(place),
            awaits_secret: false,
            has_pacs_order: false,
            hold: Hold::None,
            notice: None,
            complaint: None,
        })
    }

    fn object(self, life: Life) -> Option<Value> {
        let status = match life {
            Life::Unborn | Life::Gone => return None,
            Life::Pending | Life::Deleting => json!("PipelineRunPending"),
            Life::Cancelled => json!("Cancelled"),
            Life::Running | Life::Done => Value::Null,
        };
        let mut object = json!({
            "metadata": {"uid": self.key().uid(), "labels": {}, "annotations": {}},
            "spec": {"status": status},
        });
        if life == Life::Deleting {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Some(object)
    }
}

/// The one Repository.
pub(crate) fn repository() -> RepositoryKey {
    RepositoryKey::new("ns", "repo").unwrap_or_else(|_| unreachable!())
}

/// The limit that `number` in a Repository is.
pub(crate) fn limit(number: u8) -> Limit {
    Limit::effective(Some(number.into()), None)
}

// === impl Cluster ===

impl Cluster {
    /// The run that has `name` now.
    pub(crate) fn id(&self, name: Name) -> Id {
        Id { name, generation: self.objects[usize::from(name)].generation }
    }

    /// All there is.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (Id, Life)> {
        (0..).zip(&self.objects).map(|(name, object)| (Id { name, generation: object.generation }, object.life))
    }

    /// Where `id` is in its life.
    pub(crate) fn life(&self, id: Id) -> Life {
        let object = self.objects[usize::from(id.name)];
        if object.generation == id.generation { object.life } else { Life::Gone }
    }

    /// Has the run of `name` be at `life`.
    pub(crate) fn set(&mut self, name: Name, life: Life) {
        self.objects[usize::from(name)].life = life;
        let id = self.id(name);
        self.history.push(Event { id, life });
    }

    /// Creates a run of `name`, once more if there was one.
    pub(crate) fn create(&mut self, name: Name) {
        let object = &mut self.objects[usize::from(name)];
        if object.life == Life::Gone {
            object.generation += 1;
        }
        self.set(name, Life::Pending);
    }

    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.objects.iter().filter(|object| object.life == Life::Running).count()
    }

    /// What becomes of a start of `id`: the product's own patch, made on the object that bears the name, all of it or nothing.
    pub(crate) fn start(&mut self, id: Id) -> Started {
        let (other, life) = (self.id(id.name), self.objects[usize::from(id.name)].life);
        if !takes_effect(id, other, life) {
            return Started::No;
        }
        self.set(id.name, if life == Life::Done { Life::Done } else { Life::Running });
        if other == id && life == Life::Pending { Started::Yes } else { Started::AgainstAWish }
    }
}

/// Whether the patch that starts `id` can be made on the object of `other`, which is at `life`. Each case is tried once.
fn takes_effect(id: Id, other: Id, life: Life) -> bool {
    static TRIED: LazyLock<Mutex<Tried>> = LazyLock::new(Mutex::default);
    *TRIED.lock().unwrap_or_else(PoisonError::into_inner).entry((id, other, life)).or_insert_with(|| {
        let patch = start_patch(&id.key(), StartBy::Clearing);
        other.object(life).is_some_and(|mut object| applied(&mut object, &patch))
    })
}

/// Makes `patch` as the API server does: a path that isn't there equals null.
fn applied(object: &mut Value, patch: &json_patch::Patch) -> bool {
    let mut changed = object.clone();
    for operation in &patch.0 {
        match operation {
            PatchOperation::Test(test) => {
                if changed.pointer(test.path.as_str()).unwrap_or(&Value::Null) != &test.value {
                    return false;
                }
            }
            other => {
                if json_patch::patch(&mut changed, std::slice::from_ref(other)).is_err() {
                    return false;
                }
            }
        }
    }
    *object = changed;
    true
}
