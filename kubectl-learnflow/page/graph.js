// The graph: publishers, topics, receivers, and a dot on its way for each event.

const BOX = { width: 248, height: 32, gap: 10 };
const TRAVEL = 900; // milliseconds from one end of an arrow to the other
const MOST_DOTS = 600;

class Graph {
  constructor(choose) {
    this.choose = choose;
    this.svg = document.querySelector("#stage svg");
    this.canvas = document.querySelector("#stage canvas");
    this.arrows = this.svg.appendChild(drawn("g"));
    this.boxes = this.svg.appendChild(drawn("g"));
    this.curves = new Map();
    this.dots = [];
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.resized = true;
    new ResizeObserver(() => (this.resized = true)).observe(byId("graph"));
  }

  // Where things stand, and how much goes between them.
  show(graph, chosen) {
    const columns = [graph.publishers, graph.topics, graph.receivers];
    const rows = Math.max(...columns.map((column) => column.length));
    const width = Math.max(byId("graph").clientWidth, 3 * BOX.width + 160);
    const height = Math.max(rows * (BOX.height + BOX.gap) + BOX.gap, byId("graph").clientHeight - 4);
    this.size(width, height);
    const x = [16, (width - BOX.width) / 2, width - BOX.width - 16];
    const y = (column, at) => ((at + 0.5) * height) / columns[column].length;

    this.curves.clear();
    const arrows = graph.arrows.map((arrow) => {
      const [from, to] = arrow.delivers ? [1, 2] : [0, 1];
      const [start, end] = arrow.delivers ? [arrow.topic, arrow.service] : [arrow.service, arrow.topic];
      const curve = { x1: x[from] + BOX.width, y1: y(from, start), x2: x[to], y2: y(to, end) };
      this.curves.set(arrow.number, curve);
      return { ...arrow, curve, away: chosen !== "" && graph.topics[arrow.topic].name !== chosen };
    });
    fill(this.arrows, arrows, () => drawn("path"), (path, arrow) => {
      const { x1, y1, x2, y2 } = arrow.curve;
      const bend = (x1 + x2) / 2;
      mark(path, "d", `M${x1} ${y1}C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}`);
      mark(path, "stroke-width", (1.2 + Math.log10(1 + arrow.rate)).toFixed(1));
      mark(path, "class", `${alarm(arrow)} ${arrow.away ? "away" : ""}`);
    });
    const boxes = columns.flatMap((column, number) =>
      column.map((node, at) => ({ ...node, isTopic: number === 1, x: x[number], y: y(number, at) - BOX.height / 2 })),
    );
    fill(this.boxes, boxes, () => this.box(), (box, node) => this.update(box, node, chosen));
    byId("nothing").hidden = boxes.length > 0;
  }

  box() {
    const box = drawn("g");
    box.append(drawn("rect", { width: BOX.width, height: BOX.height }), drawn("text", { x: 14, y: 21 }));
    box.append(drawn("text", { x: BOX.width - 14, y: 21, class: "rate" }), drawn("title"));
    const pick = () => box.dataset.topic !== undefined && this.choose(box.dataset.topic);
    box.addEventListener("click", pick);
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pick();
    });
    return box;
  }

  update(box, node, chosen) {
    const [rect, name, rate, title] = box.children;
    mark(box, "transform", `translate(${node.x} ${node.y})`);
    const away = chosen !== "" && node.isTopic && node.name !== chosen;
    mark(box, "class", `${node.isTopic ? "topic" : "service"} ${alarm(node)} ${away ? "away" : ""}`);
    mark(rect, "rx", node.isTopic ? BOX.height / 2 : 6);
    if (node.isTopic) {
      box.dataset.topic = node.name;
      mark(box, "tabindex", "0");
      mark(box, "role", "button");
      mark(box, "aria-label", visible(node.name));
    } else {
      delete box.dataset.topic;
      ["tabindex", "role", "aria-label"].forEach((attribute) => box.removeAttribute(attribute));
    }
    const shown = node.isTopic ? node.name : service(node.name);
    write(name, shown.length > 21 ? `${shown.slice(0, 20)}…` : shown);
    write(rate, `${node.rate >= 1000 ? count(Math.round(node.rate)) : node.rate.toFixed(1)}/s`);
    write(title, node.failed ? `${shown}: ${count(node.failed)} not ok` : shown);
  }

  size(width, height) {
    if (!this.resized && this.width === width && this.height === height) return;
    this.resized = false;
    Object.assign(this, { width, height });
    const scale = devicePixelRatio;
    mark(this.svg, "width", width);
    mark(this.svg, "height", height);
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(scale, scale);
    const style = getComputedStyle(this.canvas);
    this.colours = [style.color, style.outlineColor];
  }

  // `pulses`: of each arrow its number, events that were ok, and others.
  send(pulses, now) {
    if (this.still.matches || document.hidden) return;
    for (let at = 0; at < pulses.length; at += 3) {
      for (const failed of [0, 1]) {
        const room = Math.min(pulses[at + 1 + failed], 8, MOST_DOTS - this.dots.length);
        for (let dot = 0; dot < room; dot++) {
          this.dots.push({ arrow: pulses[at], failed, start: now + Math.random() * 120 });
        }
      }
    }
  }

  // One frame: all dots of a colour are one path.
  draw(now) {
    if (!this.pen || (this.dots.length === 0 && this.clean)) return;
    this.pen.clearRect(0, 0, this.width, this.height);
    this.dots = this.dots.filter((dot) => now - dot.start < TRAVEL);
    for (const failed of [0, 1]) {
      this.pen.beginPath();
      for (const dot of this.dots) {
        const curve = this.curves.get(dot.arrow);
        if (dot.failed !== failed || !curve || dot.start > now) continue;
        const t = (now - dot.start) / TRAVEL;
        const u = 1 - t;
        const bend = (curve.x1 + curve.x2) / 2;
        const px = u * u * u * curve.x1 + 3 * u * t * bend + t * t * t * curve.x2;
        const py = (u * u * u + 3 * u * u * t) * curve.y1 + (3 * u * t * t + t * t * t) * curve.y2;
        this.pen.moveTo(px + 2.6, py);
        this.pen.arc(px, py, 2.6, 0, 7);
      }
      this.pen.fillStyle = this.colours[failed];
      this.pen.fill();
    }
    this.clean = this.dots.length === 0;
  }
}
