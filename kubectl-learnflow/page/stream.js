// Bytes for the core: from the server, again and again, or out of this file.

const pause = (millis) => new Promise((done) => setTimeout(done, millis));

// Lets the browser draw and listen. Unlike a timer it is not slowed down in a hidden tab.
function breathe() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((done) => {
    port1.onmessage = done;
    port2.postMessage(0);
  });
}

async function readAll(stream, take) {
  const reader = stream.getReader();
  let since = performance.now();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    take(value);
    if (performance.now() - since > 8) {
      await breathe();
      since = performance.now();
    }
  }
}

// Without an end, but for logs that have one. A connection that breaks is made again where it broke.
async function follow(page, mode, take, say) {
  let wait = 250;
  for (;;) {
    try {
      const answer = await fetch(`events?from=${page.next()}`);
      if (answer.status === 403) return say("refused");
      if (answer.ok) {
        page.resume(Number(answer.headers.get("learnflow-first")));
        say("live");
        wait = 250;
        await readAll(answer.body, take);
        if (mode === "saved") return say("ended");
      }
    } catch {
      // It is tried again.
    }
    say("lost");
    await pause(wait);
    wait = Math.min(wait * 2, 8000);
  }
}

const bytesOf = (id) => Uint8Array.from(atob(byId(id).textContent), (c) => c.charCodeAt(0));

async function replay(take, say) {
  const packed = new Blob([bytesOf("data")]).stream();
  await readAll(packed.pipeThrough(new DecompressionStream("gzip")), take);
  say("ended");
}
