//! The shapes of work the stores are measured with.

/// So many tasks that want slots of so many repositories.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// For people.
    pub(super) name: &'static str,
    /// Tasks, each of which takes one slot after the other.
    pub(super) tasks: usize,
    /// A task goes around those whose number is its own, modulo the smaller of the two counts.
    pub(super) repositories: usize,
    /// The limit of each.
    pub(super) limit: u32,
}

/// What is measured.
pub(super) const SHAPES: [Shape; 3] = [
    Shape { name: "64 tasks, 16 repositories, limit 2", tasks: 64, repositories: 16, limit: 2 },
    Shape { name: "64 tasks, 1 repository, limit 64", tasks: 64, repositories: 1, limit: 64 },
    Shape { name: "64 tasks, 1,000 repositories, limit 1", tasks: 64, repositories: 1000, limit: 1 },
];

// === impl Shape ===

impl Shape {
    /// Whether it is the one that figures were promised for.
    pub(super) fn is_promised(&self) -> bool {
        self.name == SHAPES[0].name
    }

    /// The repositories that task `task` goes around.
    pub(super) fn repositories_of(&self, task: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        (task % self.repositories..self.repositories).step_by(self.tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repository_has_a_task_and_every_task_a_repository() {
        for shape in SHAPES {
            let mut wanted = vec![0; shape.repositories];
            for task in 0..shape.tasks {
                assert!(shape.repositories_of(task).count() > 0, "{shape:?}");
                shape.repositories_of(task).for_each(|repository| wanted[repository] += 1);
            }
            let most = wanted.iter().max();
            assert!(wanted.iter().all(|tasks| *tasks > 0), "{shape:?}");
            assert_eq!(most, Some(&shape.tasks.div_ceil(shape.repositories)), "{shape:?}");
        }
    }
}
