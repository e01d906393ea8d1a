//! The resources this server has, as one table: everything else asks it instead of knowing a resource by name.

/// One printer column of `kubectl get`.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    /// A JSONPath as in a CustomResourceDefinition, `count:` before a path for the number of entries.
    pub(crate) path: &'static str,
}

/// What the server must know of one resource.
#[derive(Debug)]
pub(crate) struct ResourceType {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) short_names: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    pub(crate) namespaced: bool,
    /// Served from a CustomResourceDefinition in a real cluster: no strategic merge, few field selectors.
    pub(crate) custom: bool,
    /// Has a status subresource, which the main endpoint leaves alone.
    pub(crate) status: bool,
    /// Whether a PUT may come without a resourceVersion.
    pub(crate) unconditional_update: bool,
    /// A question, which is answered and not stored: it can only be created.
    pub(crate) review: bool,
    /// Whether a PUT may create.
    pub(crate) create_on_update: bool,
    pub(crate) columns: &'static [Column],
}

// === impl ResourceType ===

impl ResourceType {
    const fn core(
        plural: &'static str,
        singular: &'static str,
        kind: &'static str,
        short: &'static [&'static str],
    ) -> Self {
        Self {
            group: "",
            version: "v1",
            plural,
            singular,
            kind,
            short_names: short,
            categories: &[],
            namespaced: true,
            custom: false,
            status: false,
            unconditional_update: true,
            review: false,
            create_on_update: false,
            columns: &[],
        }
    }

    const fn tekton(
        plural: &'static str,
        singular: &'static str,
        kind: &'static str,
        short: &'static [&'static str],
    ) -> Self {
        Self {
            group: "tekton.dev",
            categories: &["tekton", "tekton-pipelines"],
            custom: true,
            status: true,
            unconditional_update: false,
            ..Self::core(plural, singular, kind, short)
        }
    }

    /// `v1` for the core group, `group/version` otherwise.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The name in error messages: `pipelineruns.tekton.dev`, `configmaps`.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The kind in error messages: `PipelineRun.tekton.dev`, `ConfigMap`.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_owned() } else { format!("{}.{}", self.kind, self.group) }
    }

    const fn builtin(
        group: &'static str,
        plural: &'static str,
        singular: &'static str,
        kind: &'static str,
        short: &'static [&'static str],
    ) -> Self {
        Self { group, columns: &[AGE], ..Self::core(plural, singular, kind, short) }
    }

    const fn rbac(plural: &'static str, singular: &'static str, kind: &'static str, namespaced: bool) -> Self {
        Self { namespaced, ..Self::builtin("rbac.authorization.k8s.io", plural, singular, kind, &[]) }
    }

    const fn review(group: &'static str, plural: &'static str, singular: &'static str, kind: &'static str) -> Self {
        Self { namespaced: false, review: true, ..Self::builtin(group, plural, singular, kind, &[]) }
    }

    const fn admission(
        plural: &'static str,
        singular: &'static str,
        kind: &'static str,
        columns: &'static [Column],
    ) -> Self {
        Self {
            namespaced: false,
            columns,
            ..Self::builtin("admissionregistration.k8s.io", plural, singular, kind, &[])
        }
    }

    const fn prometheus(
        plural: &'static str,
        singular: &'static str,
        kind: &'static str,
        short: &'static [&'static str],
    ) -> Self {
        Self {
            custom: true,
            unconditional_update: false,
            ..Self::builtin("monitoring.coreos.com", plural, singular, kind, short)
        }
    }

    /// Whether it has a scale subresource.
    pub(crate) fn has_scale(&self) -> bool {
        self.plural == "deployments"
    }

    /// Whether tokens are issued of it.
    pub(crate) fn has_token(&self) -> bool {
        self.plural == "serviceaccounts"
    }

    /// Whether `metadata.generation` is kept: core objects and roles have none.
    pub(crate) fn has_generation(&self) -> bool {
        const COUNTED: [&str; 6] = [
            "apps",
            "networking.k8s.io",
            "policy",
            "admissionregistration.k8s.io",
            "scheduling.k8s.io",
            "discovery.k8s.io",
        ];
        self.custom || COUNTED.contains(&self.group)
    }
}

const fn column(name: &'static str, kind: &'static str, path: &'static str) -> Column {
    Column { name, kind, path }
}

const AGE: Column = column("Age", "date", ".metadata.creationTimestamp");

const RUN_COLUMNS: &[Column] = &[
    column("Succeeded", "string", ".status.conditions[?(@.type==\"Succeeded\")].status"),
    column("Reason", "string", ".status.conditions[?(@.type==\"Succeeded\")].reason"),
    column("StartTime", "date", ".status.startTime"),
    column("CompletionTime", "date", ".status.completionTime"),
];

const PARAM_KIND: Column = column("ParamKind", "string", ".spec.paramKind.kind");

const BINDING_COLUMNS: &[Column] =
    &[column("PolicyName", "string", ".spec.policyName"), column("ParamRef", "string", ".spec.paramRef.name"), AGE];

const MUTATING_POLICIES: ResourceType = ResourceType::admission(
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicy",
    "MutatingAdmissionPolicy",
    &[column("Mutations", "string", "count:.spec.mutations"), PARAM_KIND, AGE],
);

const MUTATING_BINDINGS: ResourceType = ResourceType::admission(
    "mutatingadmissionpolicybindings",
    "mutatingadmissionpolicybinding",
    "MutatingAdmissionPolicyBinding",
    BINDING_COLUMNS,
);

const WEBHOOK_COLUMNS: &[Column] = &[column("Webhooks", "string", "count:.webhooks"), AGE];

const EVENT_COLUMNS: &[Column] = &[
    column("Last Seen", "date", ".metadata.creationTimestamp"),
    column("Type", "string", ".type"),
    column("Reason", "string", ".reason"),
    column("Object", "string", "object:.involvedObject"),
    column("Message", "string", ".message"),
];

/// Every resource, in the order in which discovery lists it.
pub(crate) static RESOURCES: &[ResourceType] = &[
    ResourceType {
        namespaced: false,
        status: true,
        columns: &[column("Status", "string", ".status.phase"), AGE],
        ..ResourceType::core("namespaces", "namespace", "Namespace", &["ns"])
    },
    ResourceType {
        columns: &[column("Data", "string", "count:.data"), AGE],
        ..ResourceType::core("configmaps", "configmap", "ConfigMap", &["cm"])
    },
    ResourceType {
        columns: &[column("Type", "string", ".type"), column("Data", "string", "count:.data"), AGE],
        ..ResourceType::core("secrets", "secret", "Secret", &[])
    },
    ResourceType {
        columns: &[AGE],
        ..ResourceType::core("serviceaccounts", "serviceaccount", "ServiceAccount", &["sa"])
    },
    ResourceType {
        status: true,
        categories: &["all"],
        columns: &[column("Status", "string", ".status.phase"), AGE],
        ..ResourceType::core("pods", "pod", "Pod", &["po"])
    },
    ResourceType {
        columns: EVENT_COLUMNS,
        create_on_update: true,
        ..ResourceType::core("events", "event", "Event", &["ev"])
    },
    ResourceType {
        group: "events.k8s.io",
        columns: EVENT_COLUMNS,
        create_on_update: true,
        ..ResourceType::core("events", "event", "Event", &["ev"])
    },
    ResourceType {
        group: "coordination.k8s.io",
        unconditional_update: false,
        create_on_update: true,
        columns: &[column("Holder", "string", ".spec.holderIdentity"), AGE],
        ..ResourceType::core("leases", "lease", "Lease", &[])
    },
    ResourceType {
        columns: &[column("Type", "string", ".spec.type"), AGE],
        ..ResourceType::core("services", "service", "Service", &["svc"])
    },
    ResourceType {
        status: true,
        categories: &["all"],
        ..ResourceType::builtin("apps", "deployments", "deployment", "Deployment", &["deploy"])
    },
    ResourceType::rbac("clusterroles", "clusterrole", "ClusterRole", false),
    ResourceType::rbac("clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", false),
    ResourceType::rbac("roles", "role", "Role", true),
    ResourceType::rbac("rolebindings", "rolebinding", "RoleBinding", true),
    ResourceType::review("authentication.k8s.io", "tokenreviews", "tokenreview", "TokenReview"),
    ResourceType::review(
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
    ),
    ResourceType::review("authorization.k8s.io", "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview"),
    ResourceType::builtin("networking.k8s.io", "networkpolicies", "networkpolicy", "NetworkPolicy", &["netpol"]),
    ResourceType {
        status: true,
        ..ResourceType::builtin(
            "policy",
            "poddisruptionbudgets",
            "poddisruptionbudget",
            "PodDisruptionBudget",
            &["pdb"],
        )
    },
    ResourceType {
        namespaced: false,
        ..ResourceType::builtin("scheduling.k8s.io", "priorityclasses", "priorityclass", "PriorityClass", &["pc"])
    },
    MUTATING_POLICIES,
    MUTATING_BINDINGS,
    ResourceType { version: "v1beta1", ..MUTATING_POLICIES },
    ResourceType { version: "v1beta1", ..MUTATING_BINDINGS },
    ResourceType {
        status: true,
        ..ResourceType::admission(
            "validatingadmissionpolicies",
            "validatingadmissionpolicy",
            "ValidatingAdmissionPolicy",
            &[column("Validations", "string", "count:.spec.validations"), PARAM_KIND, AGE],
        )
    },
    ResourceType::admission(
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
        "ValidatingAdmissionPolicyBinding",
        BINDING_COLUMNS,
    ),
    ResourceType::admission(
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
        "MutatingWebhookConfiguration",
        WEBHOOK_COLUMNS,
    ),
    ResourceType::admission(
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
        "ValidatingWebhookConfiguration",
        WEBHOOK_COLUMNS,
    ),
    ResourceType {
        columns: &[column("AddressType", "string", ".addressType"), AGE],
        ..ResourceType::builtin("discovery.k8s.io", "endpointslices", "endpointslice", "EndpointSlice", &[])
    },
    ResourceType::prometheus("servicemonitors", "servicemonitor", "ServiceMonitor", &["smon"]),
    ResourceType::prometheus("prometheusrules", "prometheusrule", "PrometheusRule", &["promrule"]),
    ResourceType {
        columns: RUN_COLUMNS,
        ..ResourceType::tekton("pipelineruns", "pipelinerun", "PipelineRun", &["pr", "prs"])
    },
    ResourceType { columns: RUN_COLUMNS, ..ResourceType::tekton("taskruns", "taskrun", "TaskRun", &["tr", "trs"]) },
    ResourceType { columns: &[AGE], ..ResourceType::tekton("pipelines", "pipeline", "Pipeline", &[]) },
    ResourceType { columns: &[AGE], ..ResourceType::tekton("tasks", "task", "Task", &[]) },
    ResourceType {
        group: "pipelinesascode.tekton.dev",
        version: "v1alpha1",
        custom: true,
        unconditional_update: false,
        columns: &[column("URL", "string", ".spec.url")],
        ..ResourceType::core("repositories", "repository", "Repository", &["repo"])
    },
];

/// The resource of this plural name as it is stored: both groups of events as core events, versions as the first of them.
pub(crate) fn by_plural(plural: &str) -> Option<&'static ResourceType> {
    RESOURCES.iter().find(|entry| entry.plural == plural)
}
