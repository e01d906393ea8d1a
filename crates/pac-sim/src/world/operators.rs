//! What operators do: they change settings, and with them the store, pause, switch off and on, release, restart PAC's watcher; and what the Git
//! provider does.

use pac_config::keys;
use serde_json::json;

use super::users::namespace;
use super::{Undo, World, driver_of};
use crate::replica::SETTINGS;
use crate::scenario::StoreKind;
use crate::schedule::Action;

const RELEASED: &str = "concurrency.pipelinesascode.tekton.dev/released";

// === impl World ===

impl World {
    pub(super) fn operator_acts(&mut self, action: &Action) {
        match *action {
            Action::Settings { connections } => {
                self.change_settings(&json!({keys::POSTGRESQL_MAX_CONNECTIONS.name: connections.to_string()}));
                self.did("settings changed");
            }
            Action::Move => {
                self.store = if self.store == StoreKind::PostgreSql { StoreKind::Etcd } else { StoreKind::PostgreSql };
                self.change_settings(&json!({keys::CONCURRENCY_DRIVER.name: driver_of(self.store)}));
                self.did("moves to another store");
            }
            Action::Release { repository, pick } => {
                self.of_run(repository, pick, "runs released", |world, name| {
                    let store = world.outside.cluster.store();
                    let Some(run) = store.get("pipelineruns", &namespace(repository), name) else { return false };
                    let released = json!({"metadata": {"annotations": {RELEASED: run["metadata"]["uid"]}}});
                    store.patch("pipelineruns", &namespace(repository), name, &released).is_ok()
                });
            }
            Action::GlobalLimit { limit } => {
                let (store, spec) = (self.outside.cluster.store(), json!({"concurrency_limit": limit}));
                if store.get("repositories", SETTINGS, SETTINGS).is_some() {
                    // It is there, and nobody deletes it.
                    let _ = store.patch("repositories", SETTINGS, SETTINGS, &json!({ "spec": spec }));
                } else {
                    let _ =
                        store.create("repositories", SETTINGS, json!({"metadata": {"name": SETTINGS}, "spec": spec}));
                }
                self.did("the global limit changed");
            }
            Action::PauseAll { lasts } if !self.is_to_be_undone(Undo::PauseOfAll) => {
                self.change_settings(&json!({keys::CONCURRENCY_PAUSED.name: "true"}));
                self.undo_after(Undo::PauseOfAll, lasts);
                self.did("pauses of everything");
            }
            Action::SwitchOff { lasts } if !self.is_to_be_undone(Undo::Off) => {
                self.change_settings(&json!({keys::CONCURRENCY_ENABLED.name: "false"}));
                self.undo_after(Undo::Off, lasts);
                self.did("switched off, and on again");
            }
            Action::ProviderRefuses { lasts } if !self.is_to_be_undone(Undo::Provider) => {
                self.provider_refuses(true);
                self.undo_after(Undo::Provider, lasts);
                self.did("the Git provider refuses");
            }
            Action::PacRestarts { lasts } if !self.is_to_be_undone(Undo::Pac) => {
                if let Some(pac) = self.outside.cluster.pac() {
                    pac.stop_watcher();
                    self.undo_after(Undo::Pac, lasts);
                    self.did("restarts of PAC's watcher");
                }
            }
            // It is done already.
            _ => {}
        }
    }

    pub(super) fn operator_undoes(&mut self, undo: Undo) {
        match undo {
            Undo::PauseOfAll => self.change_settings(&json!({keys::CONCURRENCY_PAUSED.name: "false"})),
            Undo::Off => self.change_settings(&json!({keys::CONCURRENCY_ENABLED.name: "true"})),
            Undo::Provider => self.provider_refuses(false),
            Undo::Pac => self.outside.cluster.pac().into_iter().for_each(|pac| pac.start_watcher()),
            _ => {}
        }
    }

    fn provider_refuses(&self, refuses: bool) {
        self.outside.cluster.pac().into_iter().for_each(|pac| pac.provider_refuses(refuses));
    }
}
