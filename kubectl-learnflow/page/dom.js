// Elements. Names come from whoever publishes: text is only ever set as text.

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Only what differs is written: a page that stands still costs nothing.
function write(to, text) {
  if (to.textContent !== text) to.textContent = text;
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
