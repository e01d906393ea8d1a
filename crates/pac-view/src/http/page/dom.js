// Elements. Whatever others wrote (names, reasons, messages) is set as text, never as markup.

/** An element with these attributes and children; children that are null are left out, and strings are text. */
export function element(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for what is drawn. */
export function drawn(name, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined));
  return made;
}

/** A table. A row is { key, cells }; a column has a title, a style, and what it is sorted by, if it can be. */
export function table(label, columns, rows, sorted) {
  const head = columns.map(column => {
    const sort = column.sort && sorted && sorted.by === column.sort ? (sorted.down ? "descending" : "ascending") : null;
    const title = column.sort ? element("button", { type: "button", "data-sort": column.sort }, column.title) : column.title;
    return element("th", { scope: "col", class: column.style, "aria-sort": sort }, title);
  });
  const body = rows.map(row => element("tr", { "data-key": row.key },
    ...columns.map((column, at) => element("td", { class: column.style }, row.cells[at] ?? ""))));
  // It may be wider than a phone: then the keyboard has to reach it to move it.
  return element("div", { class: "table", tabindex: "0", role: "region", "aria-label": label, "data-key": label },
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)));
}

/**
 * Makes the children of `parent` what `children` are, and leaves alone what is so already: elements stay the ones they were, and
 * with them the keyboard's focus and the text that is selected, also where rows change places.
 */
export function show(parent, children) {
  const focus = document.activeElement, selection = getSelection();
  const { anchorNode, anchorOffset, focusNode, focusOffset, type } = selection;
  become(parent, children);
  if (focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true });
  const isLost = type === "Range" && (selection.anchorNode !== anchorNode || selection.focusNode !== focusNode
    || selection.anchorOffset !== anchorOffset || selection.focusOffset !== focusOffset);
  if (isLost && fits(anchorNode, anchorOffset) && fits(focusNode, focusOffset)) {
    selection.setBaseAndExtent(anchorNode, anchorOffset, focusNode, focusOffset);
  }
}

function fits(node, offset) {
  return node.isConnected && offset <= (node.nodeType === Node.TEXT_NODE ? node.data.length : node.childNodes.length);
}

const keyOf = node => node.dataset && node.dataset.key;

function become(parent, children) {
  const keyed = new Map();
  for (const child of parent.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = parent.firstChild;
  for (const child of children.map(child => typeof child === "string" ? document.createTextNode(child) : child)) {
    const key = keyOf(child);
    while (at && keyOf(at) && !children.some(other => keyOf(other) === keyOf(at))) at = removed(at);
    const before = key ? keyed.get(key) : at && !keyOf(at) ? at : null;
    if (before && isAlike(before, child)) {
      if (before === at) at = at.nextSibling;
      else parent.insertBefore(before, at);
      adopt(before, child);
    } else {
      parent.insertBefore(child, at);
    }
  }
  while (at) at = removed(at);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

const isAlike = (one, other) => one.nodeType === other.nodeType && one.nodeName === other.nodeName;

function adopt(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  become(old, [...fresh.childNodes]);
}
