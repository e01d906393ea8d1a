// Asks the watcher again and again, and shows what it answers; says so when it doesn't.

import { element, show } from "./dom.js";
import { plot } from "./plot.js";
import { isSortable, overview, queue, refused, run, sortsDown, unknown, warning } from "./views.js";
import { count, span } from "./words.js";

/** How often to ask, and how often where nobody looks. */
const EVERY_MS = 2000, UNSEEN_EVERY_MS = 30000;
/** How long an answer may take. */
const PATIENCE_MS = 5000;
const NAME = "Queues of PipelineRuns";

const at = id => document.getElementById(id);
/** Below which address the answers are, and whether they are those of the namespaces that the reader may see. */
const { answers: base, tenants } = document.documentElement.dataset;
const choice = { namespace: "", filter: "", hideIdle: false, sorted: { by: "oldest", down: true } };

/** When the watcher answered last, and why it didn't since; which question is the newest, and when the next is asked; what is shown. */
let answered = null, failure = "", asked = 0, next, subject = "";

// === where one is

/** The Repository and the run that the address names. */
function place() {
  const parts = location.hash.slice(1).split("/").map(decoded);
  const [namespace, repository, name] = parts;
  if (parts.length < 2) return {};
  return { repository: namespace + "/" + repository, run: name ? namespace + "/" + name : null };
}

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

function readChoice() {
  const query = new URLSearchParams(location.search), by = query.get("sort") || "oldest";
  choice.namespace = tenants === undefined ? "" : query.get("namespace") || "";
  choice.filter = query.get("name") || "";
  choice.hideIdle = query.get("idle") === "hide";
  if (isSortable(by)) choice.sorted = { by, down: sortsDown(by) !== (query.get("order") === "reversed") };
  at("of-namespace").hidden = tenants === undefined;
  at("namespace").value = choice.namespace;
  at("filter").value = choice.filter;
  at("hide-idle").checked = choice.hideIdle;
}

/** What is chosen is kept in the address, so that it can be sent to somebody and survives a reload. */
function keepChoice() {
  const query = new URLSearchParams(), { by, down } = choice.sorted;
  if (choice.namespace) query.set("namespace", choice.namespace);
  if (choice.filter) query.set("name", choice.filter);
  if (choice.hideIdle) query.set("idle", "hide");
  if (by !== "oldest") query.set("sort", by);
  if (down !== sortsDown(by)) query.set("order", "reversed");
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? "?" + text : "") + location.hash);
  ask();
}

// === what is said

function tell(watcher) {
  const words = [watcher.identity, watcher.leading ? "leads" : "doesn't lead: it knows less of the past"];
  if (watcher.driver) words.push(watcher.driver);
  show(at("watcher"), [words.join(" · ")]);
  const troubles = watcher.trouble.map(warning);
  if (watcher.paused) troubles.unshift(warning("Everything is paused (concurrency-paused is true): nobody is admitted."));
  if (watcher.system === "shadow") troubles.unshift(warning("Shadow mode: PAC's own queue starts PipelineRuns, and this watcher starts none."));
  if (watcher.system === "off") {
    const waiting = watcher.waiting_while_off;
    const wait = waiting ? " " + count(waiting, "PipelineRun waits", "PipelineRuns wait") + ", and nobody starts them." : "";
    troubles.unshift(warning("The concurrency system is switched off (concurrency-enabled is false)." + wait));
  }
  show(at("trouble"), troubles);
}

/** Says since when what is shown is old, if it is. The age, which changes all the time, is no part of what is read out. */
function tellAge() {
  document.title = (failure ? "No answer · " : "") + (subject ? subject + " · " : "") + NAME;
  if (!failure) return show(at("alarm"), []);
  const when = answered && answered.toLocaleTimeString();
  const old = when ? " What is shown is from " + when + "." : "";
  show(at("alarm"), [element("p", { class: "alarm" }, "The watcher doesn't answer: " + failure + "." + old)]);
  show(at("watcher"), [when ? "last heard of " + span((Date.now() - answered) / 1000) + " ago" : "not heard of yet"]);
}

// === asking

/** What the watcher answers; its complaint if it knows no such thing, or if that can't be the name of any. */
async function get(path, parameters) {
  const query = new URLSearchParams(parameters).toString();
  const answer = await fetch(path + (query ? "?" + query : ""), { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if ([400, 403, 404].includes(answer.status)) return { complaint: (await answer.text()).trim() };
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function answers({ repository, run }) {
  const only = repository ? { repository } : choice.namespace ? { namespace: choice.namespace } : {}, what = run ? "explain" : repository ? "" : "summary";
  const asked = get(base + (what && "/" + what), run ? { run } : only);
  const [told, samples] = await Promise.all([asked, run ? null : get(base + "/plot", only)]);
  // Of who answers a complaint says nothing, and to some nobody does.
  return [told.complaint ? { ...await get(base + "/summary"), ...told } : told, samples];
}

async function ask() {
  const mine = ++asked, here = place();
  clearTimeout(next);
  at("choice").hidden = Boolean(here.repository);
  const [told, samples] = await answers(here).catch(error => [error]);
  if (mine !== asked) return;
  next = setTimeout(ask, document.hidden ? UNSEEN_EVERY_MS : EVERY_MS);
  if (told instanceof Error) {
    failure = told.name === "TimeoutError" ? "nothing for " + PATIENCE_MS / 1000 + " s" : told.message.replace(/\.$/, "");
  } else {
    [answered, failure] = [new Date(), ""];
    if (told.watcher) tell(told.watcher);
    else show(at("watcher"), []);
    draw(here, told, samples);
  }
  tellAge();
}

function draw(here, told, samples) {
  const sum = of => told.repositories.reduce((sum, one) => sum + one[of], 0);
  let parts, limit = null;
  if (told.complaint && !here.repository) {
    [parts, subject, samples] = [refused(choice.namespace, told.complaint), "", null];
  } else if (told.complaint) {
    [parts, subject, samples] = [unknown(here.run || here.repository, told.complaint), here.run || here.repository, null];
  } else if (here.run) {
    [parts, subject] = [run(told, here.repository), told.run];
  } else if (here.repository) {
    const one = told.repositories[0];
    limit = parseInt(one.limit.text, 10) || null;
    [parts, subject] = [queue(told), count(one.waiting.length, "waiting", "waiting") + " in " + one.repository];
  } else {
    [parts, subject] = [overview(told, choice), count(sum("waiting"), "waiting", "waiting")];
  }
  show(at("plot"), samples ? plot(samples, limit) : []);
  at("plot").hidden = !samples;
  show(at("view"), parts);
}

// === what the reader does

/** Once it is written: each is asked for in the reader's name. */
function chooseNamespace() {
  const namespace = at("namespace").value.trim();
  if (namespace === choice.namespace) return;
  choice.namespace = namespace;
  keepChoice();
}

at("choice").addEventListener("submit", event => { event.preventDefault(); chooseNamespace(); });
at("namespace").addEventListener("change", chooseNamespace);
at("filter").addEventListener("input", event => { choice.filter = event.target.value; keepChoice(); });
at("hide-idle").addEventListener("change", event => { choice.hideIdle = event.target.checked; keepChoice(); });
at("view").addEventListener("click", event => {
  const by = event.target.dataset.sort;
  if (!by) return;
  choice.sorted = { by, down: by === choice.sorted.by ? !choice.sorted.down : sortsDown(by) };
  keepChoice();
});
addEventListener("hashchange", () => { scrollTo(0, 0); ask(); });
addEventListener("popstate", () => { readChoice(); ask(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
setInterval(tellAge, 1000);
readChoice();
ask();
