// Files to scores: a few at a time, in the order they came.

import { score } from "./api.js";
import { addItem, changed, isUncertain, items, known } from "./items.js";
import { heatOf, thumbnail } from "./pictures.js";
import { spoken } from "./facts.js";
import { VERDICTS, counted, listed, say } from "./words.js";

const AT_ONCE = 3;
const LIKELY = /\.(png|jpe?g|jpe|jfif|bmp|tiff?|webp|gif|jp2|j2k|avif|hei[cf]|dcm|dicom|npy)$/i;

let running = 0;
let paused = false; // until somebody signs in again
let stopping = new AbortController();
let batch = [];

export function addFiles(files) {
  const kept = files.filter((file) => LIKELY.test(file.name) || file.type.startsWith("image/"));
  const left = files.length - kept.length;
  if (left) say(counted(left, "file") + " left out: not an image.");
  if (!kept.length) return left;
  if (!running) batch = [];
  batch.push(...kept.map((file) => addItem(file, file.name)));
  changed();
  run();
  return left;
}

export function again(item) {
  item.state = "waiting";
  batch.push(item);
  changed(item);
  run();
}

/** Score what was left waiting, after a new sign in. */
export function goOn() {
  paused = false;
  run();
}

export function stop() {
  stopping.abort();
  for (const item of items.filter((one) => one.state === "waiting")) fail(item, "Stopped.");
}

export function progress() {
  const done = batch.filter((item) => item.state === "scored" || item.state === "failed").length;
  return { done, all: batch.length, running: done < batch.length };
}

function run() {
  if (stopping.signal.aborted) stopping = new AbortController();
  while (running < AT_ONCE && !paused) {
    const item = items.find((one) => one.state === "waiting");
    if (!item) return;
    item.state = "scoring";
    running += 1;
    scoreOne(item, stopping.signal).finally(() => {
      running -= 1;
      run();
      if (!progress().running) sayAll();
    });
  }
}

async function scoreOne(item, signal) {
  changed(item);
  try {
    item.small ||= await thumbnail(item.file);
    const result = await score(item.file, item.name, item.small ? "raw" : "overlay", signal);
    const heat = result.heat_map;
    delete result.heat_map;
    if (typeof heat === "string") item.drawn = heat;
    else if (heat) item.heat = heatOf(heat, known.model && known.model.colour_bounds);
    item.result = result;
    item.state = "scored";
    item.queued ||= isUncertain(result);
    changed(item);
  } catch (error) {
    if (error.code === "unauthorized") {
      paused = true;
      item.state = "waiting";
      changed(item);
      return;
    }
    fail(item, error.name === "AbortError" ? "Stopped." : error.message);
  }
}

function fail(item, reason) {
  item.state = "failed";
  item.error = reason;
  changed(item);
}

function sayAll() {
  if (batch.length === 1) {
    say(spoken(batch[0]));
    return;
  }
  const parts = Object.keys(VERDICTS).map((verdict) => [
    batch.filter((item) => item.result && item.result.verdict === verdict).length, verdict]);
  const failed = batch.filter((item) => item.state === "failed").length;
  const words = parts.filter(([count]) => count).map(([count, verdict]) => count + " " + verdict);
  if (failed) words.push(failed + " not scored");
  say(counted(batch.length, "image") + " done" + (words.length ? ": " + listed(words) : "") + ".");
}
