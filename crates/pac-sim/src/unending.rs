//! A simulation that doesn't come to an end.
//!
//! A loop in which nothing is waited for keeps the one thread there is, and virtual time with it: nobody inside can notice. So another thread
//! looks whether virtual time goes on, by how long the process has had a processor: on a machine that is busy with other things it may
//! have none for long.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::trace::Trace;

/// How long one virtual moment may take of a processor's time.
const STANDS_STILL: Duration = Duration::from_secs(30);
/// How often to look.
const LOOK: Duration = Duration::from_millis(100);

/// Does `task`, which leaves `trace`, and calls `give_up` with the reason if it doesn't come to an end: within `at_most` of real time, or
/// at all. Only the end of the process ends such a task.
pub(crate) fn watched<T>(
    trace: &Trace,
    at_most: Duration,
    give_up: impl FnOnce(String) + Send,
    task: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        scope.spawn(move || {
            let (began, mut moved) = (Instant::now(), (trace.last().0, processor_time()));
            while is_done.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let (at, line) = trace.last();
                if at != moved.0 {
                    moved = (at, processor_time());
                }
                if let Some(why) =
                    reason(began.elapsed(), at_most, processor_time().saturating_sub(moved.1), STANDS_STILL)
                {
                    return give_up(format!("{why}; the last that happened was\n{line}"));
                }
            }
        });
        let outcome = task();
        drop(done);
        outcome
    })
}

/// How long this process has had a processor so far; nothing where the kernel doesn't tell, and then nobody is given up by that.
fn processor_time() -> Duration {
    // The unit of proc_pid_stat(5) on Linux.
    const TICK: Duration = Duration::from_millis(10);
    let told = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may have anything in it.
    let fields = told.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    TICK * ticks
}

/// Why a simulation is given up, if it is.
fn reason(took: Duration, at_most: Duration, stood: Duration, stands: Duration) -> Option<String> {
    if stood > stands {
        return Some(format!(
            "virtual time has stood still for {} s: a loop in which nothing is waited for",
            stood.as_secs()
        ));
    }
    (took > at_most).then(|| format!("there was no end within {} s of real time", at_most.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_ends_is_not_given_up() {
        let given_up = |why: String| unreachable!("{why}");
        assert_eq!(watched(&Trace::new(false), Duration::from_secs(60), given_up, || 7), 7);
    }

    #[test]
    fn one_that_does_not_end_is_given_up_with_its_last_words() {
        let trace = Trace::new(false);
        trace.tell("round and round");
        let (sender, given_up) = channel();
        let say = move |why: String| sender.send(why).unwrap();
        let why = watched(&trace, Duration::ZERO, say, || given_up.recv().unwrap());
        assert!(why.starts_with("there was no end within 0 s") && why.contains("round and round"), "{why}");
    }

    #[test]
    fn the_kernel_tells_a_processors_time() {
        let (began, since) = (processor_time(), Instant::now());
        while processor_time() < began + Duration::from_millis(50) {
            assert!(since.elapsed() < Duration::from_secs(60), "{:?}", processor_time());
        }
    }

    #[test]
    fn time_that_stands_still_is_told_from_a_machine_that_is_slow() {
        let seconds = Duration::from_secs;
        assert_eq!(reason(seconds(100), seconds(200), seconds(30), STANDS_STILL), None);
        let why = reason(seconds(100), seconds(200), seconds(31), STANDS_STILL).unwrap();
        assert!(why.contains("nothing is waited for"), "{why}");
    }
}
