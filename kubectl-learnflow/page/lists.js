// The table of topics, the list of events, and one event's way.

function showRows(rows, more, chosen, choose) {
  const make = () => {
    const row = element("tr", { tabindex: 0 }, ...Array.from({ length: 11 }, () => element("td")));
    row.addEventListener("click", () => choose(row.dataset.topic));
    return row;
  };
  fill(byId("rows"), rows, make, (row, of) => {
    row.dataset.topic = of.topic;
    mark(row, "aria-selected", String(of.topic === chosen));
    const delivers = of.dir === "deliver";
    const cells = [
      topic(of), delivers ? `→ ${service(of.service)}` : `${service(of.service)} →`, count(of.events), of.rate.toFixed(1),
      share(of.success, of.events), seconds(of.p50), seconds(of.p95), seconds(of.p99), seconds(of.ageP95),
      delivers ? count(of.retries) : "-", of.skew === null ? "-" : of.skew.toFixed(1),
    ];
    cells.forEach((text, at) => write(row.children[at], text));
    mark(row.children[4], "class", of.success === of.events ? "good" : "warn");
    row.children[0].title = row.children[0].textContent;
  });
  write(byId("more-rows"), more ? `and ${count(more)} more; search to see them` : "");
}

function showEvents(events, open) {
  const make = () => {
    const line = element("button", { type: "button" }, ...["at", "way", "outcome", "took"].map((part) => element("span", { class: part })));
    line.addEventListener("click", () => open(Number(line.dataset.number)));
    return element("li", {}, line);
  };
  fill(byId("list-rows"), events, make, ({ firstElementChild: line }, event) => {
    line.dataset.number = event.number;
    const [at, way, what, took] = line.children;
    write(at, clock(event.at));
    const publishes = event.dir === "publish";
    write(way, publishes ? `${service(event.service)} → ${topic(event)}` : `${topic(event)}${place(event)} → ${service(event.service)}`);
    way.title = way.textContent;
    write(what, outcome(event));
    mark(what, "class", `outcome ${tone(event)}`);
    write(took, event.took === null ? "" : seconds(event.took));
  });
}

function showDetail({ event, steps, leftOut }) {
  const size = event.bytes === null ? null : `${count(event.bytes)} bytes`;
  const facts = {
    time: new Date(event.at).toISOString(), topic: topic(event), service: service(event.service), pod: event.pod,
    component: event.pubsub, partition: event.partition, offset: event.offset, outcome: outcome(event),
    took: event.took === null ? null : seconds(event.took), age: event.age === null ? null : seconds(event.age),
    size, trace: event.trace,
  };
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== "");
  byId("facts").replaceChildren(...known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))));
  byId("steps").replaceChildren(...stepsOf(steps));
  write(byId("detail-note"), missing(event, steps, leftOut));
  const spans = byId("spans");
  spans.hidden = event.trace === null;
  const whole = element("code", {}, `kubectl learnflow trace ${event.trace}`);
  // Where there is a trace store, the plugin leads to it.
  const { traces } = document.documentElement.dataset;
  const link = traces && element("a", { href: `${traces}/trace/${event.trace}`, target: "_blank", rel: "noreferrer" }, "Its spans");
  spans.replaceChildren(...(link ? [link, " in the trace store. "] : []), "With the database and Kafka: ", whole);
}

// Bars between the first and the last moment; what waited in Kafka goes ahead of a delivery.
function stepsOf(steps) {
  const from = Math.min(...steps.map((step) => Math.min(step.begin, step.kafka ?? step.begin)));
  const whole = Math.max(...steps.map((step) => step.end)) - from || 1;
  const bar = (kind, begin, end) => {
    const made = element("i", { class: kind });
    made.style.left = `${((begin - from) / whole) * 100}%`;
    made.style.width = `${((end - begin) / whole) * 100}%`;
    return made;
  };
  return steps.map((step) => {
    const attempt = step.attempt === null ? "" : `, attempt ${step.attempt}`;
    const name = step.dir === "publish" ? `${service(step.service)} → ${topic(step)}` : `→ ${service(step.service)}${attempt}`;
    const label = element("span", { class: "name" }, name);
    const what = element("span", { class: `outcome ${tone(step)}` }, outcome(step));
    const when = element("span", { class: "when" }, `+${seconds(Math.max(0, step.begin - from) / 1e3)}`);
    const took = element("span", { class: "when" }, step.took === null ? "" : seconds(step.took));
    const bars = element("span", { class: "bars" });
    if (step.kafka !== null) bars.append(bar("kafka", step.kafka, step.begin));
    bars.append(bar(tone(step), step.begin, step.end));
    return element("li", { class: step.found }, label, what, when, took, bars);
  });
}

// What a reader might miss, and why it is not there.
function missing(event, steps, leftOut) {
  const among = "among the events that this page keeps";
  if (leftOut) return `${count(leftOut)} more belong to it.`;
  if (event.trace === null) return "It has no trace, so nothing else can be told apart by it.";
  if (!steps.some((step) => step.dir === "publish")) return `Its publish is not ${among}.`;
  if (steps.every((step) => step.dir === "publish" && step.outcome === "error")) return "It was not taken, so nobody receives it.";
  if (!steps.some((step) => step.dir === "deliver")) return `No delivery of it is ${among}.`;
  return "Grey is the time in Kafka before a delivery.";
}
