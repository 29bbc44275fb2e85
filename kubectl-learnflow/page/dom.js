// Elements. Names come from whoever publishes: text is only ever set as text.

// What would turn the reading direction, or is no letter at all, is shown and not obeyed: as in the terminal.
const visible = (text) => text.replace(/[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, "\ufffd");

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.map((child) => (typeof child === "string" ? visible(child) : child)));
  return made;
}

function drawn(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Only what differs is written: a page that stands still costs nothing.
function write(to, text) {
  const shown = visible(text);
  if (to.textContent !== shown) to.textContent = shown;
}

function mark(of, name, value) {
  if (of.getAttribute(name) !== value) of.setAttribute(name, value);
}

// One child for each item, in their order. What is there is kept, and so is what has the focus.
function fill(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, at) => update(parent.children[at], item));
}
