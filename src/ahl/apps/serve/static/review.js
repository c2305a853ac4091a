// The review: images that are too close to call, one at a time, by mouse or keyboard.

import { Inspector } from "./inspector.js";
import { changed, items, known, onChange } from "./items.js";
import { say, verdictOf } from "./words.js";

const $ = (id) => document.getElementById(id);
let inspector;
let current = null;

function queue() {
  return items.filter((item) => item.queued);
}

function isOpen(item) {
  return !item.mark && !item.skipped;
}

export function startReview() {
  inspector = new Inspector($("review-panel"), (item, words) => {
    if (item === current) advance(words);
    else say(words); // it was left before the answer was kept
  });
  $("previous").addEventListener("click", (event) => step(-1, event.currentTarget));
  $("next").addEventListener("click", (event) => step(1, event.currentTarget));
  $("skip-image").addEventListener("click", skip);
  onChange(() => show());
}

/** Begin where something is left to decide. */
export function openReview() {
  if (!current || !queue().includes(current)) current = queue().find(isOpen) || null;
  show();
}

function show() {
  const all = queue();
  const left = all.filter(isOpen).length;
  $("review-count").textContent = left || "";
  if (current && !all.includes(current)) current = all.find(isOpen) || null;
  // What comes in while the review stands open and empty is shown at once.
  if (!current && left && !$("review").hidden) current = all.find(isOpen);
  $("no-store").hidden = known.keepsMarks;
  $("review-empty").hidden = Boolean(current);
  $("review-panel").hidden = !current;
  $("walk").hidden = !all.length;
  $("skip-image").hidden = !current;
  const place = current ? all.indexOf(current) : all.length;
  $("previous").disabled = place === 0;
  $("next").disabled = !current;
  $("review-place").textContent = current ? `${place + 1} of ${all.length}, ${left} left to decide` : "";
  $("review-empty-text").textContent = all.length
    ? "Done: nothing is left to decide."
    : "Nothing to review. Uncertain images come here by themselves; add others from their cards.";
  if (current) inspector.show(current);
}

function step(by, button = null) {
  const all = queue();
  const place = (current ? all.indexOf(current) : all.length) + by;
  if (place < 0 || place > all.length) return;
  current = all[place] || null;
  show();
  tell("", button);
}

function skip() {
  if (!current) return;
  current.skipped = true;
  const item = current;
  advance("Skipped.");
  changed(item);
}

/** Go to the next image that is left to decide. */
function advance(words) {
  const all = queue();
  const place = all.indexOf(current);
  current = [...all.slice(place + 1), ...all.slice(0, Math.max(place, 0))].find(isOpen) || null;
  show();
  tell(words);
}

/** Say what is shown now; the focus goes to the start, or stays on a button that still does something. */
function tell(words, button = null) {
  (button && !button.disabled ? button : $("review-title")).focus({ preventScroll: true });
  const next = current
    ? `${current.name}, ${verdictOf(current).words.toLowerCase()}. ${$("review-place").textContent}.`
    : $("review-empty-text").textContent;
  say((words + " " + next).trim());
  if (current) document.querySelector("#review .inspector").scrollIntoView({ block: "nearest" });
}

export function keyInReview(key) {
  if (key === "arrowleft") step(-1);
  else if (key === "arrowright") step(1);
  else if (key === "s") skip();
  else return current ? inspector.key(key) : false;
  return true;
}
