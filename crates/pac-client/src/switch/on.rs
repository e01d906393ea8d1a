//! Switching on: from PAC's own queue to ours.
//!
//! PAC's watcher goes on with what it remembers, and hears of nothing new. Of a Repository of which it still has runs none is admitted
//! by ours; what runs counts, whoever started it. So nothing needs to be stopped, and nothing runs beside the limit.

use pac_config::keys;
use pac_kube::gate::GateState;

use super::facts::{Facts, in_words, installed_gate, watcher};
use super::{settings, tell, wait_for, wait_until};
use crate::Failure;
use crate::args::Switch;
use crate::cluster::Cluster;

pub(super) async fn on(switch: &Switch) -> Result<(), Failure> {
    let (cluster, reach) = (Cluster::of(&switch.reach).await?, &switch.reach);
    tell("1/3 companion mode is installed, and its watcher answers")?;
    let Some((kind, _)) = installed_gate(&cluster).await? else {
        return Err(Failure::Refused(
            "nothing is installed that keeps runs out of PAC's own queue, which would start them beside ours: see \
             docs/companion.md, Installing"
                .to_owned(),
        ));
    };
    wait_for(switch, || async { watcher(reach).await.map(Ok) }).await?;

    tell(format!("2/3 switching on: {} true, and the gate closed by the watcher", keys::CONCURRENCY_ENABLED))?;
    settings::write(&cluster, reach, &[(&keys::CONCURRENCY_ENABLED, true)]).await?;
    wait_until(switch, || async {
        let watcher = watcher(reach).await?;
        if watcher.system != "on" || watcher.paused || watcher.draining {
            let why = "the watcher doesn't follow yet. If it never does: `pac-watcher check-config` tells where a setting comes from";
            return Ok(Some(why.to_owned()));
        }
        match installed_gate(&cluster).await? {
            Some((_, GateState::Closed)) => Ok(None),
            Some((_, state)) => Ok(Some(format!("the gate ({}) is {}", kind.label(), in_words(&state)))),
            None => Ok(Some("the gate is gone".to_owned())),
        }
    })
    .await?;

    tell(
        "3/3 PAC's own queue is worked off; meanwhile nobody of these Repositories is admitted by ours. To stop waiting here is safe",
    )?;
    wait_until(switch, || async {
        let facts = Facts::gather(&cluster, switch).await?;
        let first = facts.runs.first_of_pacs;
        Ok(first.map(|first| {
            format!("{} PipelineRuns are still PAC's to start, {first} among them", facts.runs.waiting_for_pac)
        }))
    })
    .await?;
    let view = wait_for(switch, || async { watcher(reach).await.map(Ok) }).await?;
    view.trouble.iter().try_for_each(|trouble| tell(format!("  {} says: {trouble}", view.identity)))?;
    tell("switched on: our watcher admits every PipelineRun")
}
