//! Switching off: from our queue to PAC's own.
//!
//! PAC's watcher counts what it started itself. So for a while our watcher goes on admitting, and hands whoever gets a slot to PAC's
//! own queue, which starts it at once; when nothing runs any more that our watcher started, PAC's queue counts all that runs, and is
//! given the rest. Nothing is stopped, and nobody has to be restarted.

use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_config::keys;

use super::facts::{Facts, in_words, installed_gate, watcher};
use super::{settings, tell, wait_for, wait_until};
use crate::Failure;
use crate::args::Switch;
use crate::cluster::Cluster;

pub(super) async fn off(switch: &Switch) -> Result<(), Failure> {
    let (cluster, reach) = (Cluster::of(&switch.reach).await?, &switch.reach);
    if wait_for(switch, || async { watcher(reach).await.map(Ok) }).await?.system != "off" {
        let key = &keys::CONCURRENCY_DRAINING;
        tell(format!("1/3 draining: whoever gets a slot is handed to PAC's own queue ({key} true)"))?;
        let draining = [(&keys::CONCURRENCY_ENABLED, true), (&keys::CONCURRENCY_DRAINING, true)];
        settings::write(&cluster, reach, &draining).await?;
        wait_until(switch, || async {
            let watcher = watcher(reach).await?;
            let follows = watcher.system == "off" || watcher.draining;
            Ok((!follows).then(|| "the watcher doesn't follow yet: is it in companion mode?".to_owned()))
        })
        .await?;

        tell("2/3 what our watcher started is waited for. To stop waiting here is safe, and `switch on` goes back")?;
        // A start that was sent before may still take effect, and would be seen by nobody who looks now.
        tokio::time::sleep(REQUEST_DEADLINE).await;
        wait_until(switch, || async {
            let runs = Facts::gather(&cluster, switch).await?.runs;
            let first = runs.first_of_ours;
            Ok(first.map(|first| {
                format!("{} PipelineRuns run that PAC doesn't count, {first} among them", runs.started_by_us)
            }))
        })
        .await?;
    }

    tell("3/3 switching off: the watcher opens the gate and gives what waits to PAC's own queue")?;
    settings::write(&cluster, reach, &[(&keys::CONCURRENCY_ENABLED, false)]).await?;
    wait_until(switch, || async {
        let facts = Facts::gather(&cluster, switch).await?;
        Ok(match (watcher(reach).await?.system.as_str(), installed_gate(&cluster).await?) {
            ("on", _) => Some("the watcher doesn't follow yet".to_owned()),
            (_, Some((kind, state))) if !state.is_open() => {
                Some(format!("the gate ({}) is {}", kind.label(), in_words(&state)))
            }
            _ => facts.runs.first_kept.map(|first| {
                format!(
                    "{} PipelineRuns are yet to be given to PAC's own queue, {first} among them",
                    facts.runs.waiting_for_us
                )
            }),
        })
    })
    .await?;
    // Those that are there now; whoever comes later, PAC orders.
    let lost = Facts::gather(&cluster, switch).await?.runs.without_order;
    wait_until(switch, || async {
        let runs = Facts::gather(&cluster, switch).await?.runs;
        let first = lost.intersection(&runs.without_order).next();
        Ok(first.map(|first| {
            format!("{first} is queued without an order; if PAC writes none within 15 s, the watcher gives it one by its name")
        }))
    })
    .await?;
    tell("switched off: PAC's own queue starts every PipelineRun")
}
