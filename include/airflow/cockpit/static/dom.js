// Creates elements, and updates a page with as few changes as possible.
//
// Text is always a text node, so data can never become markup. `fill` keeps existing elements and changes only the
// differences, so focus, selection, scroll position and opened details survive an update every second.

const SVG = "http://www.w3.org/2000/svg";

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

const present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

/** Create an HTML element: `h("a", { href, onclick }, "text", other)`. Omits null, undefined and false children. */
export const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);

/** Create an SVG element. */
export const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

/**
 * Update the children of `parent` to match the given ones. Children with `data-key` are matched by it. The content of
 * an element with `data-own` is left alone, because other code manages it.
 */
export function fill(parent, ...children) {
  const wanted = present(children).map((child) =>
    child instanceof Node ? child : document.createTextNode(String(child)),
  );
  const keyed = new Map();
  for (const child of parent.childNodes) if (child.dataset?.key) keyed.set(child.dataset.key, child);
  let here = parent.firstChild;
  for (const next of wanted) {
    const key = next.dataset?.key;
    const old = key ? keyed.get(key) : here;
    if (old && isAlike(old, next)) {
      if (old === here) here = here.nextSibling;
      else parent.insertBefore(old, here);
      if (old !== next) update(old, next);
    } else {
      parent.insertBefore(next, here);
    }
  }
  while (here) {
    const rest = here;
    here = here.nextSibling;
    rest.remove();
  }
}

const isAlike = (old, next) =>
  old.nodeType === next.nodeType && old.nodeName === next.nodeName && old.dataset?.key === next.dataset?.key;

const HANDLERS = ["onclick", "onsubmit", "onchange", "ontoggle", "onkeydown"];

function update(old, next) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  // Keep the open state that the user chose.
  const isTheirs = (name) => name === "open" && old.nodeName === "DETAILS";
  for (const { name } of [...old.attributes])
    if (!next.hasAttribute(name) && !isTheirs(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value && !isTheirs(name)) old.setAttribute(name, value);
  }
  for (const name of HANDLERS) if (old[name] !== next[name]) old[name] = next[name];
  if (!("own" in old.dataset)) fill(old, [...next.childNodes]);
}
