#!/usr/bin/env bash
# One mode in a kind cluster: run.sh standalone|companion
#
# Real Tekton runs the runs, a real PAC watcher is beside ours in companion mode. PAC's controller is played by kubectl, since no
# Git provider is there to send webhooks; so PAC's watcher can't report, and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=$1
runs=6
limit=2
image=pac-watcher:kind
state=pipelinesascode.tekton.dev/state
order=pipelinesascode.tekton.dev/execution-order
repository=pipelinesascode.tekton.dev/repository

kind create cluster --config .github/kind/cluster.yaml --wait 3m
docker build --file Containerfile --tag "$image" .
kind load docker-image "$image"

kubectl apply --server-side --filename https://storage.googleapis.com/tekton-releases/pipeline/latest/release.yaml
kubectl wait --for=condition=Available deployment --all --namespace tekton-pipelines --timeout=5m
kubectl apply --server-side \
  --filename https://raw.githubusercontent.com/openshift-pipelines/pipelines-as-code/stable/release.k8s.yaml
kubectl wait --for=condition=Available deployment --all --namespace pipelines-as-code --timeout=5m

# A store in the cluster, as the deployment guide has it but for TLS.
kubectl create namespace store
kubectl create deployment postgres --namespace store --image=docker.io/library/postgres:18
kubectl set env deployment/postgres --namespace store POSTGRES_PASSWORD=administrator
kubectl expose deployment postgres --namespace store --port=5432
kubectl rollout status deployment/postgres --namespace store --timeout=5m
until kubectl exec --namespace store deployment/postgres -- pg_isready --username postgres --host 127.0.0.1; do sleep 1; done
kubectl exec --namespace store deployment/postgres -- psql --username postgres \
  --command "CREATE DATABASE pac_concurrency" \
  --command "CREATE USER pac_user WITH PASSWORD 'your-secure-password'" \
  --command "GRANT ALL PRIVILEGES ON DATABASE pac_concurrency TO pac_user"
kubectl create secret generic pac-concurrency-secret --namespace=pipelines-as-code \
  --from-literal=postgresql-password="your-secure-password"

if [ "$mode" = standalone ]; then
  kubectl scale deployment/pipelines-as-code-watcher --namespace pipelines-as-code --replicas=0
fi
deploy=(--mode "$mode" --driver postgresql --image "$image" --set concurrency-enabled=true
  --set postgresql-host=postgres.store.svc --set postgresql-ssl-mode=disable)
cargo xtask deploy "${deploy[@]}" --apply
kubectl rollout status deployment/pac-concurrency-watcher --namespace pipelines-as-code --timeout=5m
# Applied again, nothing changes.
test -z "$(cargo xtask deploy "${deploy[@]}" --diff)"

# What PAC's controller does on a push.
kubectl create namespace ci
kubectl apply --filename - <<YAML
apiVersion: pipelinesascode.tekton.dev/v1alpha1
kind: Repository
metadata: {name: repo, namespace: ci}
spec: {url: "https://git.example.com/o/r", concurrency_limit: $limit}
YAML
names=()
for number in $(seq "$runs"); do
  names+=("run-$number")
  kubectl create --filename - <<YAML
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  name: run-$number
  namespace: ci
  labels: {$state: queued, $repository: repo}
  annotations: {$state: queued, $repository: repo}
spec:
  status: PipelineRunPending
  pipelineSpec:
    tasks:
      - name: work
        taskSpec:
          steps: [{name: work, image: docker.io/library/busybox:1.37, command: [sleep, "5"]}]
YAML
done
list=$(printf ',ci/%s' "${names[@]}")
kubectl annotate pipelineruns --all --namespace ci "$order=${list#,}"
if [ "$mode" = companion ]; then
  kept=$(kubectl get pipelineruns --namespace ci --output json | jq "[.items[] | select(.metadata.annotations[\"$order\"])] | length")
  test "$kept" = 0
fi

kubectl wait --for=condition=Succeeded pipelineruns --all --namespace ci --timeout=10m

# The most that ran at any start. Times are whole seconds: one that ends in the second in which another starts has ended.
most=$(kubectl get pipelineruns --namespace ci --output json | jq '
  [.items[].status | {start: (.startTime | fromdate), end: (.completionTime | fromdate)}] as $runs
  | [$runs[] | .start as $at | [$runs[] | select(.start <= $at and $at < .end)] | length] | max')
echo "at most $most of $runs ran at once, $limit may"
test "$most" -le "$limit"

# Of all replicas: the one that leads says it.
log=$(kubectl logs --selector app.kubernetes.io/name=pac-concurrency-watcher --namespace pipelines-as-code --container pac-concurrency-watcher --tail=-1)
for line in \
  "Initialized concurrency system with driver: postgresql" \
  "acquired concurrency slot for ci/run-1" \
  "concurrency limit reached for repository ci/repo"; do
  grep --quiet --fixed-strings "$line" <<< "$log"
done
if grep --fixed-strings "PAC's own queue may start runs" <<< "$log"; then exit 1; fi
