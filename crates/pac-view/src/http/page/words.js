// What numbers and records of the watcher's answers are in words.

export function span(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  if (seconds < 120) return seconds + "s";
  if (seconds < 7200) return Math.floor(seconds / 60) + "m" + (seconds < 600 ? (seconds % 60) + "s" : "");
  if (seconds < 172800) return Math.floor(seconds / 3600) + "h" + Math.floor(seconds % 3600 / 60) + "m";
  return Math.floor(seconds / 86400) + "d";
}

/** How long ago `at` was when the watcher said `now`. */
export const since = (at, now) => at ? span((new Date(now) - new Date(at)) / 1000) : "?";

export const estimate = range =>
  range ? span(Math.floor(range.earliest_seconds)) + " to " + span(Math.ceil(range.latest_seconds)) : "";

export const count = (number, one, many) => number === 1 ? "1 " + one : number.toLocaleString("en") + " " + (many || one + "s");

export function sentence(text) {
  const trimmed = text.trim().replace(/\.$/, "");
  return trimmed && trimmed[0].toUpperCase() + trimmed.slice(1) + ".";
}

/** The name of a watcher without its term. */
export const watcherOf = holder => holder.replace(/:[^:]*$/, "");

/** What keeps a Repository from admitting anybody. */
export function note(repository) {
  const notes = [];
  if (repository.paused) {
    const until = repository.paused.until ? " until " + new Date(repository.paused.until).toLocaleString() : "";
    const complaint = repository.paused.complaint ? " (" + repository.paused.complaint + ")" : "";
    notes.push("paused" + until + ": " + repository.paused.reason + complaint);
  }
  if (repository.limit.why) notes.push("held: " + repository.limit.why);
  return notes.join("; ");
}

export function happened(record) {
  switch (record.what) {
    case "queued": return "queued at place " + record.position;
    case "passed-over": return "passed over by " + record.by + ", its own start was refused: " + record.why;
    case "admitted": return "given a slot by " + watcherOf(record.holder);
    case "adopted": return "found running without a slot and counted by " + watcherOf(record.holder);
    case "taken-over": return "its slot was taken over by " + watcherOf(record.holder);
    case "started": return "started";
    case "refused": return "the API server refused to start it: " + record.why;
    case "given-back": return "its slot was given back; it keeps its place";
    case "released": return "released" + (record.held_for ? " after " + record.held_for.toFixed(1) + " s" : "") + ": " + record.why;
    case "limit-changed": return "limit changed from " + record.from + " to " + record.to;
    case "paused": return "paused: " + record.reason;
    case "resumed": return "resumed" + (record.reason ? ": " + record.reason : "");
    default: return record.what;
  }
}

/** An answer to why a run is where it is, in a word or two. */
export function answerWord(answer) {
  const words = {
    "foreign": "not watched", "repository-missing": "its Repository is missing", "limit-unreadable": "its limit can't be told",
    "store-unreachable": "the store can't be reached", "api-server-unreachable": "the API server can't be reached",
    "place-to-come": "its place is still to come", "pacs-queue": "PAC's own queue is at work",
    gate: "PAC's own queue isn't known to be kept out",
  };
  return words[answer] || answer.replaceAll("-", " ");
}
