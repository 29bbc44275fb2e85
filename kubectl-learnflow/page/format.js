// How figures are written: as in the terminal.

const count = new Intl.NumberFormat("en").format;

function seconds(s) {
  if (s === null) return "-";
  if (s < 0.0005) return `${(s * 1e6).toFixed(0)}µs`;
  if (s < 0.00995) return `${(s * 1e3).toFixed(1)}ms`;
  if (s < 0.9995) return `${(s * 1e3).toFixed(0)}ms`;
  if (s < 60) return `${s.toFixed(1)}s`;
  const rest = Math.floor(s % 60);
  return `${Math.floor(s / 60)}m${rest ? `${rest}s` : ""}`;
}

// Rounded down: 100 % is said only when nothing failed.
const share = (part, all) => `${(Math.floor((part / all) * 10_000) / 100).toFixed(2)}%`;

// The time of the day, UTC, as all logs have it.
const clock = (millis) => new Date(millis).toISOString().slice(11, 23);

function outcome(event) {
  if (event.outcome === "success") return "ok";
  return `${event.outcome} (${event.status ?? "no answer"})`;
}

// Amber: some were not ok. Red: at least one in twenty.
const alarm = ({ events, failed }) => (failed === 0 ? "" : failed * 20 < events ? "warn" : "bad");

const tone = (event) => ({ success: "good", retry: "warn" })[event.outcome] ?? "bad";

function place(event) {
  const partition = event.partition === null ? "" : `[${event.partition}]`;
  return partition + (event.offset === null ? "" : `@${event.offset}`);
}

const service = (name) => name || "(unknown)";
const topic = (event) => (event.route ? `(bulk) ${event.topic}` : event.topic);
