//! Plays what stands between Deployments and their processes: pods of the one of PAC's watcher, whose own container is
//! played, and of ours. Our container is the real program with the arguments, variables and mounted Secrets that the pod gives it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pac_devservers::free_port;
use pac_devservers::process::Child;
use serde_json::{Value, json};

use super::api::Api;
use super::cluster::{Cluster, PACS_NAME};
use super::program;

const NAMESPACE: &str = "/api/v1/namespaces/pipelines-as-code";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/pipelines-as-code/deployments";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/pipelines-as-code/endpointslices";
/// The file that says where the admin port of our youngest pod is; to it nothing forwards.
const ADMIN: &str = "admin-url";
const OURS: &str = "pac-concurrency-watcher";
const SHADOW: &str = "pac-concurrency-shadow";

/// See the [module](self).
pub(crate) struct Node {
    log: PathBuf,
    stop: Arc<AtomicBool>,
    playing: Option<JoinHandle<()>>,
}

/// One Deployment and its pods.
struct Player {
    deployment: &'static str,
    api: Api,
    kubeconfig: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    pods: Vec<Pod>,
    count: usize,
}

/// What runs, and the template it was made of.
struct Pod {
    name: String,
    template: Value,
    ours: Option<Watcher>,
}

/// Our container's process, and where it is probed.
struct Watcher {
    process: Child,
    probes: u16,
    /// Where it serves the gate's webhook, if it does.
    webhook: Option<u16>,
    /// Whether the Service of that leads to it.
    is_listed: bool,
}

// === impl Node ===

impl Node {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let log = cluster.folder.path().join("log");
        File::create(&log).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut players = [PACS_NAME, OURS, SHADOW].map(|deployment| Player {
            deployment,
            api: cluster.api(),
            kubeconfig: cluster.kubeconfig(),
            folder: cluster.folder.path().to_owned(),
            log: log.clone(),
            pods: Vec::new(),
            count: 0,
        });
        let stopped = Arc::clone(&stop);
        let playing = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                players.iter_mut().for_each(Player::look);
                std::thread::sleep(Duration::from_millis(50)); // stands for a watch
            }
            players.iter_mut().for_each(|player| player.scale_down(0));
        });
        Self { log, stop, playing: Some(playing) }
    }

    /// Where our youngest pod answers `pac-watcher queue` and `pac-watcher switch`.
    pub(crate) fn admin_url(&self, cluster: &Cluster) -> String {
        fs::read_to_string(cluster.folder.path().join(ADMIN)).unwrap_or_default()
    }

    /// What our containers have written so far, in every pod.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.playing.take().map(JoinHandle::join);
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        } else if let Some(Err(problem)) = ended {
            std::panic::resume_unwind(problem);
        }
    }
}

// === impl Player ===

impl Player {
    /// Makes of the Deployment what it says. Old pods end before new ones begin.
    fn look(&mut self) {
        let path = format!("{DEPLOYMENTS}/{}", self.deployment);
        let Some(deployment) = self.api.get(&path) else { return self.scale_down(0) };
        let template = &deployment["spec"]["template"];
        let wanted = usize::try_from(deployment["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap();
        if self.pods.iter().any(|pod| pod.template != *template) {
            self.scale_down(0);
        }
        self.scale_down(wanted);
        while self.pods.len() < wanted {
            self.begin_pod(template);
        }
        self.mount_secret();
        self.list_those_that_are_ready();
        let ready = self.pods.iter().filter(|pod| pod.ours.as_ref().is_none_or(Watcher::is_ready)).count();
        let status = json!({
            "observedGeneration": deployment["metadata"]["generation"], "replicas": wanted,
            "updatedReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready,
        });
        if deployment["status"] != status {
            self.api.patch_if_there(&format!("{path}/status"), &json!({ "status": status }));
        }
    }

    fn begin_pod(&mut self, template: &Value) {
        self.count += 1;
        let name = format!("{}-{}", self.deployment, self.count);
        let metadata = json!({"name": name, "labels": template["metadata"]["labels"]});
        self.mount_secret();
        let mut spec = template["spec"].clone();
        let mut containers = spec["containers"].as_array_mut().unwrap().iter_mut();
        let ours = containers.find(|container| container["name"] == OURS || container["name"] == SHADOW);
        let ours = ours.map(|container| self.begin_ours(&name, container));
        self.api.create(&format!("{NAMESPACE}/pods"), &json!({"metadata": metadata, "spec": spec}));
        self.api.patch(&format!("{NAMESPACE}/pods/{name}/status"), &json!({"status": {"phase": "Running"}}));
        if self.deployment == PACS_NAME {
            self.api.run_pacs_watcher(true);
        }
        self.pods.push(Pod { name, template: template.clone(), ours });
    }

    /// The container's arguments are then those that it was begun with.
    fn begin_ours(&self, pod: &str, container: &mut Value) -> Watcher {
        let mut command = Command::new(program("pac-watcher"));
        let probes = free_port().unwrap();
        for argument in container["args"].as_array_mut().unwrap() {
            let flag = argument.as_str().unwrap().split_once('=').map(|(flag, _)| flag.to_owned());
            // Each test has ports of its own; a pod has its own network.
            if let Some(flag) = flag.filter(|flag| flag.ends_with("-addr")) {
                let port = if flag == "--probe-addr" { probes } else { free_port().unwrap() };
                let address = format!("127.0.0.1:{port}");
                if flag == "--admin-addr" {
                    fs::write(self.folder.join(ADMIN), format!("http://{address}")).unwrap();
                }
                *argument = format!("{flag}={address}").into();
            }
            command.arg(argument.as_str().unwrap());
        }
        let serves = container["args"].as_array().unwrap().contains(&"--gate=webhook".into());
        let webhook = serves.then(|| free_port().unwrap());
        command.args(webhook.map(|port| format!("--webhook-addr=127.0.0.1:{port}")));
        for variable in container["env"].as_array().into_iter().flatten() {
            let file = variable["value"].as_str().unwrap();
            command.env(variable["name"].as_str().unwrap(), self.mounted(file));
        }
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--identity", pod]);
        let log = File::options().append(true).open(&self.log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Watcher { process: Child::spawn("the watcher", command).unwrap(), probes, webhook, is_listed: false }
    }

    /// As Kubernetes does for a Service whose selector has them.
    fn list_those_that_are_ready(&mut self) {
        for pod in &mut self.pods {
            let Some(ours) = pod.ours.as_mut().filter(|ours| !ours.is_listed && ours.is_ready()) else { continue };
            let Some(port) = ours.webhook else { continue };
            let labels = json!({"kubernetes.io/service-name": "pac-concurrency-webhook"});
            let slice = json!({
                "metadata": {"name": pod.name, "labels": labels}, "addressType": "IPv4",
                "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": true}}],
                "ports": [{"name": "webhook", "port": port, "protocol": "TCP"}],
            });
            self.api.create(SLICES, &slice);
            ours.is_listed = true;
        }
    }

    /// Ends the youngest until there are no more than so many.
    fn scale_down(&mut self, to: usize) {
        while self.pods.len() > to {
            let Some(mut pod) = self.pods.pop() else { return };
            if self.deployment == PACS_NAME {
                self.api.run_pacs_watcher(false);
            }
            if let Some(mut ours) = pod.ours.take() {
                self.api.delete(&format!("{SLICES}/{}", pod.name));
                let ended = ours.process.stop().unwrap();
                assert!(ended.success(), "{ended}");
            }
            self.api.delete(&format!("{NAMESPACE}/pods/{}", pod.name));
        }
    }

    /// As the kubelet does with a Secret that may be missing.
    fn mount_secret(&self) {
        let folder = self.folder.join("mounted");
        fs::create_dir_all(&folder).unwrap();
        let secret = self.api.get(&format!("{NAMESPACE}/secrets/pac-concurrency-secret"));
        let data = secret.as_ref().and_then(|secret| secret["data"].as_object());
        for (key, value) in data.into_iter().flatten() {
            let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
            if fs::read(folder.join(key)).is_ok_and(|now| now == bytes) {
                continue;
            }
            fs::write(folder.join("new"), bytes).unwrap();
            fs::rename(folder.join("new"), folder.join(key)).unwrap();
        }
    }

    /// Where a file of the pod is here.
    fn mounted(&self, file: &str) -> PathBuf {
        self.folder.join("mounted").join(Path::new(file).file_name().unwrap())
    }
}

// === impl Watcher ===

impl Watcher {
    /// What the kubelet finds.
    fn is_ready(&self) -> bool {
        ureq::get(format!("http://127.0.0.1:{}/ready", self.probes)).call().is_ok()
    }
}
