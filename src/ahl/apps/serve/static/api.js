// Asks the service. The token stays in this tab, and travels in a header only.

const KEY = "ahl-token";
const TRIES = 6;

export class Refusal extends Error {
  constructor(status, code, message, seconds) {
    super(message);
    this.status = status;
    this.code = code;
    this.seconds = seconds;
  }
}

export function hasToken() {
  return Boolean(sessionStorage.getItem(KEY));
}

export function keepToken(token) {
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
}

async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  const token = sessionStorage.getItem(KEY);
  if (token) headers.set("Authorization", "Bearer " + token);
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "unreachable", "The service cannot be reached.");
  }
  const result = await answer.json().catch(() => ({}));
  if (answer.ok) return result;
  const said = result.error || {};
  const image = (result.images || [])[0];
  const message = (image && image.error) || said.message || "The service answered " + answer.status + ".";
  const refusal = new Refusal(answer.status, said.code, message, Number(answer.headers.get("Retry-After")));
  if (refusal.code === "unauthorized") document.dispatchEvent(new CustomEvent("ahl-signed-out"));
  throw refusal;
}

function body(file, signal) {
  return {
    method: "POST",
    body: file,
    headers: { "Content-Type": "application/octet-stream" },
    signal,
  };
}

/** Ask again, a few times, where the service says that it is busy. */
async function patiently(asking, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await asking();
    } catch (error) {
      const busy = error.status === 429 || error.status === 503;
      if (!busy || tries === TRIES || (signal && signal.aborted)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * (error.seconds || 1)));
    }
  }
}

export async function score(file, name, heatMap, signal) {
  const query = new URLSearchParams({ why: "1", pictures: "1", heat_map: heatMap, name });
  const result = await patiently(() => ask("v1/score?" + query, body(file, signal)), signal);
  return result.images[0];
}

export function mark(file, name, label, kind) {
  const query = new URLSearchParams({ label, name });
  if (kind) query.set("kind", kind);
  return patiently(() => ask("v1/feedback?" + query, body(file)));
}

export const model = () => ask("v1/model");
export const marks = () => ask("v1/feedback");
