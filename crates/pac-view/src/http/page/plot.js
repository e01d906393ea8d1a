// How many waited and ran over the last hour, each with an axis of its own, and the limit where there is one.

import { drawn, element } from "./dom.js";
import { span } from "./words.js";

const WIDE = 1000, HIGH = 100, SAMPLES_AT_LEAST = 30;

/** What goes into the figure. `limit` is a number, or none. */
export function plot(samples, limit) {
  return [chart("waiting", samples.waiting, samples.every_seconds), chart("running", samples.running, samples.every_seconds, limit)];
}

function chart(name, values, everySeconds, limit) {
  const most = Math.max(0, ...values), top = roundUp(Math.max(most, limit || 0, 1)), now = values.length ? values[values.length - 1] : 0;
  const columns = Math.max(values.length, SAMPLES_AT_LEAST), reach = (columns - 1) * everySeconds;
  const x = at => (WIDE * at / (columns - 1)).toFixed(1), y = value => (HIGH - HIGH * value / top).toFixed(1);
  const across = (value, style) => drawn("line", { class: style, x1: 0, x2: WIDE, y1: y(value), y2: y(value) });
  const line = drawn("polyline", { class: name, points: values.map((value, at) => x(columns - values.length + at) + "," + y(value)).join(" ") });
  const words = name + ": " + now + " now, at most " + most + " in the last " + span(reach) + (limit ? "; the limit is " + limit : "");
  const picture = drawn("svg", { viewBox: "0 0 " + WIDE + " " + HIGH, preserveAspectRatio: "none", role: "img", "aria-label": words },
    [0, top / 2, top].map(value => across(value, "grid")), line, limit ? across(limit, "limit") : null);
  const label = (value, place) => element("span", { class: place }, Number.isInteger(value) ? value.toLocaleString("en") : "");
  const scale = element("div", { class: "scale", "aria-hidden": "true" },
    label(top, "room"), label(top, "top"), label(top / 2, "middle"), label(0, "bottom"));
  const times = [span(reach) + " ago", span(reach / 2) + " ago", "now"].map(text => element("span", {}, text));
  const legend = element("p", { class: "legend", "aria-hidden": "true" }, element("b", { class: "mark " + name }, name),
    limit ? element("b", { class: "mark limit" }, "limit " + limit) : null);
  return element("div", { class: "chart", "data-key": name }, legend, scale, picture,
    element("div", { class: "times", "aria-hidden": "true" }, ...times));
}

/** The least number that is easy to halve and not less than `value`. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map(step => step * power).find(step => step >= value);
}
