//! Every choice there is of what a line of a manifest depends on, and a condition for any set of them.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use pac_config::{DriverKind, keys};

use crate::deploy::options::{Gate, Mode, VariantOptions};

/// What was chosen along each of the axes, by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case([usize; 3]);

/// Some cases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cases(BTreeSet<Case>);

/// An axis: what the template calls it, and its values. A standalone watcher has a gate here, and shadow mode a store, too, which makes no
/// difference, so that the axes have nothing to do with one another. An etcd where somebody logs in is another store than one where nobody does.
const AXES: [(&str, &[&str]); 3] = [
    ("$mode", &["standalone", "companion", "shadow"]),
    ("$store", &["postgresql", "etcd", "etcd-login", "memory"]),
    ("$gate", &["policy", "webhook", "deny"]),
];

/// The options that make the manifests of a case. Namespace and image are marks, which the chart's values take the place of.
pub(super) fn options(case: Case) -> VariantOptions {
    let Case([mode, store, gate]) = case;
    let mode = [Mode::Standalone, Mode::Companion, Mode::Shadow][mode];
    let has_store = mode != Mode::Shadow;
    let driver = [DriverKind::PostgreSql, DriverKind::Etcd, DriverKind::Etcd, DriverKind::Memory][store];
    let login = AXES[1].1[store] == "etcd-login";
    VariantOptions {
        mode: Some(mode),
        driver: has_store.then_some(driver),
        gate: (mode == Mode::Companion).then(|| Gate::ALL[gate]),
        namespace: Some(super::holes::NAMESPACE.to_owned()),
        image: Some(super::holes::IMAGE.to_owned()),
        runbook_url: has_store.then(|| super::holes::RUNBOOK.to_owned()),
        set: (login && has_store)
            .then(|| (keys::ETCD_USERNAME.name.to_owned(), "chart".to_owned()))
            .into_iter()
            .collect(),
        ..VariantOptions::default()
    }
}

// === impl Case ===

impl Case {
    /// Any of them, for what doesn't depend on it.
    pub(super) fn plain() -> Self {
        Self([0, 0, 0])
    }
}

// === impl Cases ===

impl Cases {
    pub(super) fn all() -> Vec<Case> {
        let [modes, stores, gates] = AXES.map(|(_, values)| values.len());
        let of_mode = |mode| (0..stores).flat_map(move |store| (0..gates).map(move |gate| Case([mode, store, gate])));
        (0..modes).flat_map(of_mode).collect()
    }

    pub(super) fn of(cases: impl IntoIterator<Item = Case>) -> Self {
        Self(cases.into_iter().collect())
    }

    /// A template's expression that is true in these cases and in no other of `among`; none if these are all.
    pub(super) fn condition(&self, among: &Self) -> Result<Option<String>> {
        if self == among {
            return Ok(None);
        }
        if let Some(condition) = self.as_product(among) {
            return Ok(Some(condition));
        }
        // Each value of an axis by itself: what depends on two at once.
        let parts = (0..AXES[0].1.len()).filter_map(|mode| {
            let of_mode = |cases: &Self| Self::of(cases.0.iter().copied().filter(|case| case.0[0] == mode));
            let (own, all) = (of_mode(self), of_mode(among));
            let mode = format!("(eq {} \"{}\")", AXES[0].0, AXES[0].1[mode]);
            (!own.0.is_empty()).then(|| match own == all {
                true => Some(mode),
                false => own.as_product(&all).map(|condition| format!("(and {mode} {condition})")),
            })
        });
        match parts.collect::<Option<Vec<_>>>() {
            Some(parts) => Ok(Some(format!("or {}", parts.join(" ")))),
            None => bail!("no condition tells these cases from others: {self:?}"),
        }
    }

    /// The condition if what is true is a set of values on each axis, whatever the others.
    fn as_product(&self, among: &Self) -> Option<String> {
        let along = |cases: &Self, axis: usize| cases.0.iter().map(|case| case.0[axis]).collect::<BTreeSet<_>>();
        let own: Vec<_> = (0..AXES.len()).map(|axis| along(self, axis)).collect();
        let inside = |case: &&Case| (0..AXES.len()).all(|axis| own[axis].contains(&case.0[axis]));
        if among.0.iter().filter(inside).count() != self.0.len() {
            return None;
        }
        let narrowed = (0..AXES.len()).filter(|axis| own[*axis] != along(among, *axis));
        let narrowed: Vec<String> = narrowed.map(|axis| one_of(axis, &own[axis])).collect();
        Some(match &narrowed[..] {
            [one] => one.trim_start_matches('(').trim_end_matches(')').to_owned(),
            several => format!("and {}", several.join(" ")),
        })
    }
}

/// That an axis has one of these values.
fn one_of(axis: usize, chosen: &BTreeSet<usize>) -> String {
    let (name, values) = AXES[axis];
    let others: Vec<&&str> = values.iter().enumerate().filter(|(at, _)| !chosen.contains(at)).map(|(_, v)| v).collect();
    let chosen: Vec<&str> = chosen.iter().map(|at| values[*at]).collect();
    match (&chosen[..], &others[..]) {
        ([one], _) => format!("(eq {name} \"{one}\")"),
        (_, [other]) => format!("(ne {name} \"{other}\")"),
        (several, _) => format!("(eq {name} \"{}\")", several.join("\" \"")),
    }
}
