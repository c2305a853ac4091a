// The view of all images: cards, sorted and filtered, and adding more.

import { again, addFiles, progress, stop } from "./scoring.js";
import { made, showFacts, slot } from "./facts.js";
import { changed, items, onChange, removeAll } from "./items.js";
import { look } from "./inspector.js";
import { showPicture } from "./pictures.js";
import { counted, say, trouble } from "./words.js";

const ORDERS = {
  high: (a, b) => scoreOf(b, -Infinity) - scoreOf(a, -Infinity),
  low: (a, b) => scoreOf(a, Infinity) - scoreOf(b, Infinity),
  added: (a, b) => a.number - b.number,
  name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
};
const cards = new Map();
const $ = (id) => document.getElementById(id);

function scoreOf(item, missing) {
  return item.result ? item.result.score : missing;
}

function groupOf(item) {
  if (item.state !== "scored") return item.state === "failed" ? "other" : "";
  return item.result.verdict || "other";
}

function shown() {
  return document.querySelector("input[name=show]:checked").value;
}

export function startResults() {
  $("files").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = "";
  });
  const over = (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    $("drop").classList.toggle("over", event.type === "dragenter" || event.type === "dragover");
  };
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(type, over);
  document.addEventListener("drop", async (event) => {
    const files = event.dataTransfer.types.includes("Files");
    if (!files || $("views").hidden) return; // not signed in
    location.hash = "#images";
    add(await filesOf(event.dataTransfer));
  });
  $("sort").addEventListener("change", arrange);
  for (const input of document.getElementsByName("show")) {
    input.addEventListener("change", () => {
      arrange();
      say(counted([...cards.values()].filter((card) => !card.hidden).length, "image") + " shown.");
    });
  }
  $("stop").addEventListener("click", stop);
  $("clear").addEventListener("click", () => {
    stop();
    removeAll();
    say("All images removed.");
    $("files").focus();
  });
  onChange((item) => {
    if (item && cards.has(item)) showCard(item);
    arrangeSoon();
  });
}

let arranging = false;

/** Once for all that changes within a moment: hundreds of images may come in. */
function arrangeSoon() {
  if (arranging) return;
  arranging = true;
  setTimeout(() => {
    arranging = false;
    arrange();
  }, Math.min(500, items.length));
}

function add(files) {
  const left = addFiles(files);
  trouble(left ? counted(left, "file") + " left out: not an image." : "");
}

/** All files of a drop, folders included. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
  if (!entries.some((entry) => entry && entry.isDirectory)) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    if (!entry.isDirectory) return;
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const one of some) await walk(one);
    }
  };
  for (const entry of entries) if (entry) await walk(entry);
  return found;
}

function newCard(item) {
  const card = made("card");
  slot(card, "look").addEventListener("click", () => look(item));
  slot(card, "queue").addEventListener("click", () => {
    item.queued = !item.queued;
    item.skipped = false;
    changed(item);
    say(item.name + (item.queued ? " added to the review." : " taken out of the review."));
  });
  slot(card, "again").addEventListener("click", () => again(item));
  cards.set(item, card);
  showCard(item);
}

function showCard(item) {
  const card = cards.get(item);
  showFacts(card, item);
  showPicture(slot(card, "picture"), item);
  const title = "name-" + item.number;
  slot(card, "name").id = title;
  card.firstElementChild.setAttribute("aria-labelledby", title);
  slot(card, "look").setAttribute("aria-label", "Look closer: " + item.name);
  slot(card, "look").disabled = item.state !== "scored";
  const failed = item.state === "failed";
  slot(card, "error").hidden = !failed;
  slot(card, "error").textContent = failed ? item.error : "";
  slot(card, "again").hidden = !failed;
  const queue = slot(card, "queue");
  queue.hidden = item.state !== "scored";
  queue.setAttribute("aria-pressed", String(item.queued));
  queue.setAttribute("aria-label", (item.queued ? "In the review: " : "Add to the review: ") + item.name);
  queue.textContent = item.queued ? "In the review" : "Add to the review";
}

/** Bring cards into their order, count, and keep the focus where it is. */
function arrange() {
  for (const item of items) if (!cards.has(item)) newCard(item);
  for (const [item, card] of cards) {
    if (items.includes(item)) continue;
    card.remove();
    cards.delete(item);
  }
  const some = items.length > 0;
  document.body.classList.toggle("has-images", some);
  $("tools").hidden = !some;
  const order = [...items].sort(ORDERS[$("sort").value]).map((item) => cards.get(item));
  const list = $("cards");
  if (order.some((card, place) => list.children[place] !== card)) {
    const focused = document.activeElement;
    list.replaceChildren(...order);
    if (focused !== document.activeElement) focused.focus({ preventScroll: true });
  }
  const group = shown();
  for (const [item, card] of cards) card.hidden = group !== "all" && groupOf(item) !== group;
  $("none-shown").hidden = !some || [...cards.values()].some((card) => !card.hidden);
  for (const input of document.getElementsByName("show")) {
    const count = items.filter((item) => input.value === "all" || groupOf(item) === input.value).length;
    const label = input.parentElement;
    label.querySelector("b").textContent = count;
    label.hidden = input.value === "other" && !count && !input.checked;
  }
  $("images-count").textContent = items.length || "";
  const { done, all, running } = progress();
  $("progress").hidden = !running;
  $("progress-bar").max = Math.max(1, all);
  $("progress-bar").value = done;
  $("progress-text").textContent = `${done} of ${counted(all, "image")} scored`;
}
