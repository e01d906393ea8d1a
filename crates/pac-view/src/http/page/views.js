// What is shown: all Repositories, one of them, or one run.

import { element, table } from "./dom.js";
import { answerWord, count, estimate, happened, note, sentence, since, span, watcherOf } from "./words.js";

const SHOWN = 200, HISTORY_SHOWN = 30;

export const warning = text => element("p", { class: "warning" }, text);
const soft = text => element("p", { class: "soft" }, text);
const heading = (level, text) => element("h" + level, {}, text);
/** Of an address within the page, each part by itself. */
const hash = (...parts) => "#" + parts.map(part => part.split("/").map(encodeURIComponent).join("/")).join("/");
const nameOf = path => path.replace(/^[^/]*\//, "");

function runLink(repository, path, text, ...more) {
  return element("span", {}, element("a", { href: hash(repository, nameOf(path)) }, text), ...more);
}

// === all Repositories

const sortKeys = {
  name: one => one.repository,
  limit: one => one.limit.text === "unlimited" ? Infinity : parseInt(one.limit.text, 10) || 0,
  running: one => one.running,
  waiting: one => one.waiting,
  oldest: one => one.oldest_waiting_seconds ?? -1,
};

function order(repositories, sorted) {
  const key = sortKeys[sorted.by], way = sorted.down ? -1 : 1;
  const compare = (one, other) => one < other ? -1 : one > other ? 1 : 0;
  return repositories.sort((one, other) => way * compare(key(one), key(other)) || compare(one.repository, other.repository));
}

export const isSortable = by => by in sortKeys;
/** Numbers are asked for from the greatest on, names from the first. */
export const sortsDown = by => by !== "name";

const isIdle = one => one.running === 0 && one.waiting === 0 && !note(one);

export function overview(told, choice) {
  const all = told.repositories, total = of => all.reduce((sum, one) => sum + one[of], 0);
  if (!all.length) return [soft(emptiness(told.watcher, choice.namespace))];
  const part = choice.filter.trim().toLowerCase();
  const named = all.filter(one => one.repository.toLowerCase().includes(part));
  const chosen = named.filter(one => !choice.hideIdle || !isIdle(one));
  const totals = [count(all.length, "Repository", "Repositories"), count(all.filter(isIdle).length, "idle", "idle"),
    count(total("running"), "running", "running"), count(total("waiting"), "waiting", "waiting")];
  const parts = [element("p", { id: "totals" }, totals.join(" · "))];
  if (!named.length) return [...parts, soft("No Repository has “" + choice.filter.trim() + "” in its name.")];
  if (!chosen.length) return [...parts, soft(part ? "Those with “" + choice.filter.trim() + "” in their name are idle, and hidden." : "All are idle, and hidden.")];
  const columns = [{ title: "Repository", style: "name rest", sort: "name" }, { title: "Limit", style: "number", sort: "limit" },
    { title: "Running", style: "number running", sort: "running" }, { title: "Waiting", style: "number waiting", sort: "waiting" },
    { title: "Oldest", style: "number", sort: "oldest" }];
  const rows = order(chosen, choice.sorted).slice(0, SHOWN).map(one => {
    const told = note(one);
    const name = element("span", {}, element("a", { href: hash(one.repository) }, one.repository), told ? element("span", { class: "note" }, told) : null);
    const oldest = one.oldest_waiting_seconds ?? null;
    return { key: one.repository, cells: [name, one.limit.text, String(one.running), String(one.waiting), oldest === null ? "" : span(oldest)] };
  });
  parts.push(table("Repositories", columns, rows, choice.sorted));
  const more = chosen.length - rows.length;
  if (more > 0) parts.push(soft("and " + count(more, "more", "more") + ": a part of their name, above, finds them"));
  return parts;
}

function emptiness(watcher, namespace) {
  if (watcher.system === "off") return "While the system is switched off nothing is watched, so no Repository is known.";
  if (watcher.system === "starting") return "The watcher has not read the Repositories yet.";
  return "There is no Repository of Pipelines-as-Code in " + (namespace ? "namespace " + namespace : "this cluster") + ".";
}

// === one Repository

export function queue(told) {
  const now = told.watcher.at, queue = told.repositories[0], parts = [];
  parts.push(heading(2, queue.repository + ": limit " + queue.limit.text + ", " + queue.running.length + " running, "
    + queue.waiting.length + " waiting"));
  if (note(queue)) parts.push(warning(sentence(note(queue))));
  if (queue.store_trouble) parts.push(warning("From what the cluster shows alone, the store was not asked: " + queue.store_trouble));
  if (!queue.running.length && !queue.waiting.length) parts.push(soft("Nothing runs, and nothing waits."));
  parts.push(...slots(queue.repository, queue.running, now), ...waiting(queue, now));
  parts.push(...history(queue.history, now, queue.repository));
  return parts;
}

function slots(repository, running, now) {
  if (!running.length) return [];
  const columns = [{ title: "Running", style: "name rest" }, { title: "For", style: "number" }, { title: "State" },
    { title: "Slot from", style: "wide" }];
  const rows = running.map(slot => ({ key: slot.uid, cells: [runLink(repository, slot.run, slot.run), since(slot.since, now), slot.state,
    slot.holder ? watcherOf(slot.holder) + (slot.lapsed ? " (its lease ran out)" : "") : "none"] }));
  return [table("Running", columns, rows)];
}

function waiting(queue, now) {
  if (!queue.waiting.length) return [];
  const columns = [{ title: "Place", style: "number" }, { title: "Waiting", style: "name rest" }, { title: "For", style: "number" },
    { title: "Starts in", style: "number" }];
  const rows = queue.waiting.slice(0, SHOWN).map(run => ({ key: run.uid, cells: [String(run.position),
    runLink(queue.repository, run.run, run.run, run.note ? element("span", { class: "note" }, run.note) : null),
    since(run.since, now), estimate(run.estimate)] }));
  const more = queue.waiting.length - rows.length;
  return [table("Waiting", columns, rows), more > 0 ? soft("and " + count(more, "more", "more")) : null].filter(Boolean);
}

/** What happened to a Repository's runs, or to one run, of which all records are. */
function history(records, now, repository) {
  if (!records.length) return [soft("Nothing is known of what happened lately.")];
  const columns = [{ title: "Ago", style: "number" }, repository && { title: "Run", style: "name" }, { title: "What happened", style: "words rest" }];
  const rows = records.slice(-HISTORY_SHOWN).reverse().map(record => {
    const run = repository && record.run ? runLink(repository, record.run, nameOf(record.run)) : "";
    const cells = [since(record.at, now), run, happened(record)].filter((_, at) => columns[at]);
    return { key: [record.at, record.run, record.what].join(" "), cells };
  });
  return [heading(3, "Lately"), table("Lately", columns.filter(Boolean), rows)];
}

/** Of what is asked for in vain; `complaint` is what the watcher says of it. */
export const unknown = (name, complaint) => [heading(2, name + " is not known"), element("p", {}, sentence(complaint)),
  element("p", {}, element("a", { href: "#" }, "All Repositories"))];

/** Where the reader may not see what is asked for. */
export const refused = (namespace, complaint) => [heading(2, namespace || "Which namespace?"), element("p", {}, sentence(complaint))];

// === one run

export function run(told, repository) {
  const now = told.watcher.at, parts = [], of = told.repository || repository;
  parts.push(heading(2, told.run + ": " + answerWord(told.answer)));
  parts.push(element("p", {}, "Repository ", element("a", { href: hash(of) }, of)), element("p", {}, sentence(told.because)));
  if (told.position) {
    const starts = told.estimate ? "; starts in " + estimate(told.estimate) + ", nine times in ten" : "";
    parts.push(element("p", {}, "Place " + told.position + starts + "."));
  }
  if (told.ahead.length) {
    const links = told.ahead.slice(0, 5).flatMap((path, at) => [at ? ", " : "", runLink(of, path, nameOf(path))]);
    const more = told.ahead.length - 5;
    parts.push(element("p", {}, "Before it: ", ...links, more > 0 ? " and " + more + " more" : "", "."));
  }
  if (told.position) parts.push(...slots(of, told.holders, now));
  parts.push(...history(told.history, now, null));
  return parts;
}
