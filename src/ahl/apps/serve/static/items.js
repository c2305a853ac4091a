// The images of this tab, what is known of each, and news of changes.

export const items = [];
export const known = { model: null, keepsMarks: false };

let number = 0;

export function addItem(file, name) {
  const item = {
    number: (number += 1),
    file,
    name,
    url: URL.createObjectURL(file),
    state: "waiting", // then "scoring", then "scored" or "failed"
    result: null, // what the service said of it
    error: "",
    small: null, // a thumbnail that this browser made
    drawn: "", // else a picture that the service drew
    heat: null,
    queued: false, // in the review
    skipped: false,
    mark: null, // what a person said of it
  };
  items.push(item);
  return item;
}

export function removeAll() {
  for (const item of items.splice(0)) {
    URL.revokeObjectURL(item.url);
    if (item.small) URL.revokeObjectURL(item.small.url);
  }
  changed();
}

/** Tell all views that an item, or all, look different now. */
export function changed(item = null) {
  document.dispatchEvent(new CustomEvent("ahl-changed", { detail: item }));
}

export function onChange(listener) {
  document.addEventListener("ahl-changed", (event) => listener(event.detail));
}

/** What a person should look at: verdicts that are too close to call, or without one the middle. */
export function isUncertain(result) {
  if (result.verdict) return result.verdict === "uncertain";
  return result.probability !== undefined && result.probability > 0.25 && result.probability < 0.75;
}
