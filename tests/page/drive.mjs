// Uses the page as a person would, and says what it saw: `node drive.mjs CASE ADDRESS [ARGUMENT…]`. Whether that is right is
// judged by the test that runs it.

import { createRequire } from "node:module";
import net from "node:net";

const { LEARNFLOW_PLAYWRIGHT: driver, LEARNFLOW_BROWSER_HOME: home } = process.env;
const { chromium } = createRequire(import.meta.url)(driver);
const [name, address, ...rest] = process.argv.slice(2);
const PATIENCE = 60_000;

// What must never happen.
const seen = { outside: [], violations: [], errors: [], dialogs: 0, states: [] };

// A proxy between the browser and the page, which can break all connections off.
async function gate() {
  const { hostname, port } = new URL(address);
  const open = new Set();
  let closed = false;
  const server = net.createServer((front) => {
    if (closed) return front.destroy();
    const back = net.connect(port, hostname);
    for (const [one, other] of [[front, back], [back, front]]) {
      open.add(one);
      one.on("error", () => {}).on("close", () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise((listens) => server.listen(0, "127.0.0.1", listens));
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    close() {
      closed = true;
      open.forEach((socket) => socket.destroy());
    },
    open() {
      closed = false;
    },
    end: () => server.close(),
  };
}

async function opened(proxy) {
  const args = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ];
  if (proxy) args.push(`--proxy-server=${proxy.address}`, "--proxy-bypass-list=<-loopback>");
  const context = await chromium.launchPersistentContext(home, {
    executablePath: "/usr/bin/chromium", args, viewport: { width: 1440, height: 820 },
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(PATIENCE);
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["file:", "data:", "blob:"].includes(url.protocol) && url.hostname !== "127.0.0.1") seen.outside.push(url.href);
  });
  page.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));
  page.on("pageerror", (error) => seen.errors.push(error.message));
  page.on("dialog", (dialog) => {
    seen.dialogs += 1;
    dialog.dismiss();
  });
  await page.exposeFunction("violated", (what) => seen.violations.push(what));
  await page.exposeFunction("became", (state) => seen.states.push(state));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => window.violated(`${event.violatedDirective}: ${event.blockedURI}`));
    addEventListener("DOMContentLoaded", () => {
      const state = document.getElementById("state");
      new MutationObserver(() => window.became(state.dataset.state)).observe(state, { attributeFilter: ["data-state"] });
    });
  });
  await page.goto(address);
  return page;
}

const settled = (page) => page.waitForSelector('#state[data-state="ended"]');

// After the last bytes, one more picture.
async function ended(page) {
  await settled(page);
  await page.waitForTimeout(1200);
}

function shown(page) {
  return page.evaluate(() => {
    const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent);
    return {
      events: texts("#events")[0],
      failed: texts("#failed")[0],
      notes: texts("#notes")[0],
      rows: [...document.querySelectorAll("#rows tr")].map((row) => [...row.cells].map((cell) => cell.textContent)),
      list: [...document.querySelectorAll("#list-rows button")].map((line) => [...line.children].map((part) => part.textContent)),
      topics: texts("#stage .topic title"),
      services: texts("#stage .service title"),
      arrows: document.querySelectorAll("#stage path").length,
      markup: document.querySelectorAll("body img, body script, body b, body iframe").length,
    };
  });
}

const CASES = {
  // Everything, once all has been read.
  async look(page) {
    await ended(page);
    return shown(page);
  },

  // No mouse.
  async keyboard(page) {
    await ended(page);
    const keys = page.keyboard;
    const focus = () => page.evaluate(() => document.activeElement.closest("#rows, #list-rows, #stage, #detail, header")?.id || document.activeElement.tagName);
    const text = (id) => page.textContent(`#${id}`);
    const steps = {};
    await keys.press("/");
    await keys.type("quiz");
    steps.found = (await shown(page)).rows.map((row) => row[0]);
    await keys.press("Control+A");
    await keys.press("Delete");
    await keys.press("Escape");
    await keys.press("ArrowDown");
    await keys.press("ArrowDown");
    steps.list = await focus();
    steps.line = await page.evaluate(() => document.activeElement.querySelector(".way").textContent);
    await keys.press("Enter");
    steps.facts = await text("facts");
    steps.bars = await page.locator("#steps li").count();
    steps.detail = await focus();
    await keys.press("Escape");
    steps.back = await page.evaluate(() => document.activeElement.querySelector(".way")?.textContent);
    await keys.press("Escape");
    await keys.press("f");
    steps.notOk = (await shown(page)).list.map((line) => line[2]);
    await keys.press("f");
    // To the first topic in the graph.
    await keys.press("/");
    for (let at = 0; at < 10 && (await focus()) !== "stage"; at++) await keys.press("Tab");
    steps.topic = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    await keys.press("Enter");
    await page.waitForTimeout(600);
    steps.chosen = await text("list-title");
    steps.ways = (await shown(page)).list.map((line) => line[1]);
    return steps;
  },

  // The contrast of text with what is behind it, in both schemes; and how many animated dots somebody gets who wants none.
  async colours(page) {
    await ended(page);
    const contrasts = () =>
      page.evaluate(() => {
        const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const light = (colour) => {
          pen.fillStyle = colour;
          pen.fillRect(0, 0, 1, 1);
          const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const paper = light(getComputedStyle(document.querySelector("#topics")).backgroundColor);
        const of = (kind) => {
          const text = document.createElement("span");
          text.className = kind;
          document.querySelector("#topics").append(text);
          const ink = light(getComputedStyle(text).color);
          text.remove();
          return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        };
        return { paper, contrasts: ["", "when", "good", "warn", "bad"].map(of) };
      });
    const both = [];
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      both.push(await contrasts());
    }
    return both;
  },

  // Until all was read, though the connection is broken off twice.
  async cut(page) {
    const events = async () => Number((await page.textContent("#events")).replaceAll(",", ""));
    for (let cut = 0; cut < 2; cut++) {
      const before = await events();
      while ((await events()) < before + 50) await page.waitForTimeout(50);
      between.close();
      await page.waitForTimeout(700);
      between.open();
      await page.waitForSelector('#state[data-state="live"]');
    }
    await ended(page);
    return { ...(await shown(page)), states: seen.states };
  },

  // Frames while events come: how many, and how long each took, in milliseconds.
  async frames(page, millis) {
    await page.waitForSelector('#state[data-state="live"]');
    return page.evaluate(
      (millis) =>
        new Promise((done) => {
          const took = [];
          const began = performance.now();
          let last = began;
          const frame = (now) => {
            took.push(now - last);
            last = now;
            if (now - began < millis) return requestAnimationFrame(frame);
            const events = Number(document.getElementById("events").textContent.replaceAll(",", ""));
            took.sort((a, b) => a - b);
            const at = (share) => took[Math.floor((took.length - 1) * share)];
            done({ events, frames: took.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: at(1) });
          };
          requestAnimationFrame(frame);
        }),
      Number(millis),
    );
  },

  // How long it takes to read and show all there is, in milliseconds.
  async read(page) {
    await settled(page);
    const took = await page.evaluate(() => performance.now());
    return { took, state: await page.textContent("#state") };
  },

  // A picture: of a scheme, after some keys and clicks.
  async picture(page, file, scheme, ...steps) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.waitForTimeout(Number(steps.shift() ?? 0));
    for (const step of steps) {
      await (step.startsWith("#") || step.startsWith(".") ? page.click(step) : page.keyboard.press(step));
      await page.waitForTimeout(500);
    }
    await page.screenshot({ path: file });
    return {};
  },
};

const between = name === "cut" ? await gate() : null;
const page = await opened(between);
const result = await CASES[name](page, ...rest);
await page.context().close();
between?.end();
const { outside, violations, errors, dialogs } = seen;
process.stdout.write(JSON.stringify({ never: { outside, violations, errors, dialogs }, result }));
