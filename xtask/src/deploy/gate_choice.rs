//! Which gate: the one that was asked for, or that is there, or the best that the API server has.

use super::live::Live;
use super::options::Gate;

/// From which Kubernetes on a webhook has conditions. One without them would be asked about every write, and keep PAC from
/// queueing anything while it is away.
const CONDITIONS_SINCE: (u32, u32) = (1, 28);

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GateChoice {
    pub(super) gate: Gate,
    /// Why this one, after "since".
    pub(super) why: String,
}

// === impl GateChoice ===

impl GateChoice {
    /// Fails with why there can be none.
    pub(super) fn of(asked: Option<Gate>, live: &Live) -> Result<Self, String> {
        let choice = |gate, why: &str| Ok(Self { gate, why: why.to_owned() });
        let old = live.server.filter(|server| server.version < CONDITIONS_SINCE);
        if let (Some(server), None | Some(Gate::Webhook)) = (old, asked) {
            let (major, minor) = server.version;
            return Err(format!(
                "--gate: the API server is of version {major}.{minor}, and companion mode needs Kubernetes 1.28, where a webhook is \
                 asked about the one write that matters alone; --mode standalone needs none"
            ));
        }
        match (asked, live.gate(), live.server) {
            (Some(gate), ..) => choice(gate, "--gate says so"),
            (None, Some(gate), _) => choice(gate, "the cluster has it already"),
            (None, None, None) => choice(Gate::default(), "nobody said anything else"),
            (None, None, Some(server)) if server.mutates => {
                choice(Gate::Policy, "the API server serves MutatingAdmissionPolicy")
            }
            (None, None, Some(_)) => choice(Gate::Webhook, "the API server serves no MutatingAdmissionPolicy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::Server;
    use super::*;

    fn on(version: (u32, u32), mutates: bool, gates: &[Gate]) -> Live {
        Live { server: Some(Server { version, mutates }), gates: gates.to_vec(), ..Live::default() }
    }

    fn chosen(asked: Option<Gate>, live: &Live) -> Option<Gate> {
        GateChoice::of(asked, live).ok().map(|choice| choice.gate)
    }

    #[test]
    fn the_best_that_there_is_unless_one_is_asked_for_or_there_already() {
        assert_eq!(chosen(None, &Live::default()), Some(Gate::Policy));
        assert_eq!(chosen(None, &on((1, 36), true, &[])), Some(Gate::Policy));
        assert_eq!(chosen(None, &on((1, 34), true, &[])), Some(Gate::Policy), "a beta that is on");
        assert_eq!(chosen(None, &on((1, 35), false, &[])), Some(Gate::Webhook));
        assert_eq!(chosen(None, &on((1, 28), false, &[])), Some(Gate::Webhook));
        assert_eq!(chosen(None, &on((1, 36), true, &[Gate::Deny])), Some(Gate::Deny));
        assert_eq!(chosen(Some(Gate::Webhook), &on((1, 36), true, &[Gate::Deny])), Some(Gate::Webhook));
    }

    #[test]
    fn a_webhook_without_conditions_is_none() {
        assert_eq!(chosen(None, &on((1, 27), false, &[])), None);
        assert_eq!(chosen(Some(Gate::Webhook), &on((1, 27), false, &[])), None);
        // Whether that is served is another question.
        assert_eq!(chosen(Some(Gate::Deny), &on((1, 27), false, &[])), Some(Gate::Deny));
    }
}
