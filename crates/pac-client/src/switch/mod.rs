//! `pac-watcher switch`: companion mode switched on and off in a cluster where runs wait, without one being lost, started twice or
//! started beside the limit.
//!
//! Each step looks at the cluster first and does only what is left to do. So the command can be broken off at any point and called
//! again, for the same direction or the other one; between two steps nothing is in a state that a watcher, PAC or a person has to mend.
//!
//! `on` and `off` are the steps, `facts` is what they go by, `settings` what they turn.

mod facts;
mod off;
mod on;
mod settings;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::args::{Direction, Switch};
use crate::cluster::Cluster;
use crate::{Failure, say};

use facts::Facts;

/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Does what `switch` asks. The exit codes are those of `queue`.
pub(crate) async fn switch(switch: &Switch) -> ExitCode {
    crate::ended(match switch.direction {
        Direction::Status => status(switch).await,
        Direction::On => on::on(switch).await,
        Direction::Off => off::off(switch).await,
    })
}

async fn status(switch: &Switch) -> Result<(), Failure> {
    let cluster = Cluster::of(&switch.reach).await?;
    say::print(&Facts::gather(&cluster, switch).await?.to_string()).map(drop).map_err(Failure::Local)
}

/// Says that a step is over, or under way.
fn tell(text: impl AsRef<str>) -> Result<(), Failure> {
    say::line(text).map_err(Failure::Local)
}

/// Asks `look` until there is nothing left that it says is waited for; says each time that is something else.
async fn wait_until<F>(switch: &Switch, mut look: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<Option<String>, Failure>>,
{
    wait_for(switch, || {
        let looking = Box::pin(look());
        async { Ok(looking.await?.map_or(Ok(()), Err)) }
    })
    .await
}

/// The same where what is waited for is an answer.
async fn wait_for<T, F>(switch: &Switch, mut look: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<Result<T, String>, Failure>>,
{
    let began = Instant::now();
    let mut told: Option<String> = None;
    loop {
        // Whoever can't be asked now may be in a moment: a pod that is replaced, say.
        let missing = match Box::pin(look()).await {
            Err(failure) if failure.may_pass(false) => failure.why().to_owned(),
            looked => match looked? {
                Ok(answer) => return Ok(answer),
                Err(missing) => missing,
            },
        };
        if began.elapsed() > switch.step_timeout {
            return Err(Failure::Unreachable(format!(
                "given up after {:?} (--step-timeout): {missing}. Nothing is lost; call it again to go on, or `switch {}` to go back",
                switch.step_timeout,
                switch.direction.other()
            )));
        }
        if told.as_ref() != Some(&missing) {
            tell(format!("  waiting: {missing}"))?;
            told = Some(missing);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
