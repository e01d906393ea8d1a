//! Plays what stands between the Deployment of PAC's watcher and its processes: one pod, of whose containers PAC's own is
//! played, and ours is the real program with the arguments, variables and mounted Secrets that the pod gives it.

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
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/pipelines-as-code/deployments/pipelines-as-code-watcher";
const OURS: &str = "pac-concurrency-watcher";

/// See the [module](self).
pub(crate) struct Node {
    log: PathBuf,
    stop: Arc<AtomicBool>,
    playing: Option<JoinHandle<()>>,
}

struct Player {
    api: Api,
    kubeconfig: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    pod: Option<Pod>,
    count: usize,
}

/// What runs, and the template it was made of.
struct Pod {
    name: String,
    template: Value,
    ours: Option<Child>,
}

// === impl Node ===

impl Node {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let folder = cluster.folder.path().to_owned();
        let log = folder.join("log");
        File::create(&log).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut player = Player {
            api: cluster.api(),
            kubeconfig: cluster.kubeconfig(),
            folder,
            log: log.clone(),
            pod: None,
            count: 0,
        };
        let stopped = Arc::clone(&stop);
        let playing = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                player.look();
                std::thread::sleep(Duration::from_millis(50)); // stands for a watch
            }
            player.end_pod();
        });
        Self { log, stop, playing: Some(playing) }
    }

    /// What our container has written so far, in every pod.
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
    /// Makes of the Deployment what it says. The old pod ends before the new one begins.
    fn look(&mut self) {
        let Some(deployment) = self.api.get(DEPLOYMENT) else { return };
        let template = &deployment["spec"]["template"];
        let wanted = deployment["spec"]["replicas"] != 0;
        if self.pod.as_ref().is_some_and(|pod| !wanted || pod.template != *template) {
            self.end_pod();
        }
        if wanted && self.pod.is_none() {
            self.begin_pod(template);
        }
        self.mount_secret();
        let replicas = usize::from(wanted);
        let status = json!({
            "observedGeneration": deployment["metadata"]["generation"], "replicas": replicas,
            "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        });
        if deployment["status"] != status {
            self.api.patch(&format!("{DEPLOYMENT}/status"), &json!({ "status": status }));
        }
    }

    fn begin_pod(&mut self, template: &Value) {
        self.count += 1;
        let name = format!("{PACS_NAME}-{}", self.count);
        let metadata = json!({"name": name, "labels": template["metadata"]["labels"]});
        self.mount_secret();
        let containers = template["spec"]["containers"].as_array().unwrap();
        let ours = containers.iter().find(|container| container["name"] == OURS);
        let ours = ours.map(|container| self.begin_ours(container));
        self.api.create(&format!("{NAMESPACE}/pods"), &json!({"metadata": metadata, "spec": template["spec"]}));
        self.api.run_pacs_watcher(true);
        self.pod = Some(Pod { name, template: template.clone(), ours });
    }

    fn begin_ours(&self, container: &Value) -> Child {
        let mut command = Command::new(program("pac-watcher"));
        for argument in container["args"].as_array().unwrap() {
            let argument = argument.as_str().unwrap();
            match argument.split_once('=') {
                // Each test has ports of its own; a pod has its own network.
                Some((flag, _)) if flag.ends_with("-addr") => {
                    command.arg(format!("{flag}=127.0.0.1:{}", free_port().unwrap()))
                }
                _ => command.arg(argument),
            };
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let file = variable["value"].as_str().unwrap();
            command.env(variable["name"].as_str().unwrap(), self.mounted(file));
        }
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--identity", &format!("pod-{}", self.count)]);
        let log = File::options().append(true).open(&self.log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Child::spawn("the watcher", command).unwrap()
    }

    fn end_pod(&mut self) {
        let Some(mut pod) = self.pod.take() else { return };
        self.api.run_pacs_watcher(false);
        if let Some(mut ours) = pod.ours.take() {
            let ended = ours.stop().unwrap();
            assert!(ended.success(), "{ended}");
        }
        self.api.delete(&format!("{NAMESPACE}/pods/{}", pod.name));
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
