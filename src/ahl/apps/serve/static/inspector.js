// A closer look at one image, and a person's answer: what is it?

import { mark as sendMark } from "./api.js";
import { made, showFacts, slot } from "./facts.js";
import { changed, items, known } from "./items.js";
import { showPicture } from "./pictures.js";
import { saidWords, say } from "./words.js";

let lastKind = "";

export class Inspector {
  /** Fills `place`; `answered` is called when a person's answer is kept. */
  constructor(place, answered) {
    this.root = made("inspector");
    this.item = null;
    this.answered = answered;
    this.sending = false;
    place.append(this.root);
    this.form = slot(this.root, "form");
    this.kind = slot(this.root, "kind");
    slot(this.root, "good").addEventListener("click", () => this.good());
    slot(this.root, "defect").addEventListener("click", () => this.askKind());
    slot(this.root, "cancel").addEventListener("click", () => this.cancel());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send("defect", this.kind.value.trim());
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // in a dialog, it stays open
      event.stopPropagation();
      this.cancel();
    });
  }

  show(item) {
    if (item !== this.item) {
      this.item = item;
      this.form.hidden = true;
      slot(this.root, "defect").setAttribute("aria-expanded", "false");
      slot(this.root, "refused").textContent = "";
    }
    showFacts(this.root, item);
    showPicture(slot(this.root, "picture"), item, true);
    slot(this.root, "where").textContent = item.result.where || "";
    slot(this.root, "why-title").hidden = !item.result.why.length;
    slot(this.root, "ask").hidden = !known.keepsMarks;
  }

  good() {
    if (known.keepsMarks) this.send("good");
  }

  askKind() {
    if (!known.keepsMarks) return;
    const result = this.item.result;
    const said = this.item.mark && this.item.mark.class !== "good" && this.item.mark.class;
    this.form.hidden = false;
    slot(this.root, "defect").setAttribute("aria-expanded", "true");
    this.kind.value = said || lastKind || (result.nearest_anomaly && result.nearest_anomaly.class) || "";
    this.kind.focus();
    this.kind.select();
  }

  cancel() {
    this.form.hidden = true;
    slot(this.root, "defect").setAttribute("aria-expanded", "false");
    slot(this.root, "defect").focus();
  }

  async send(label, kind = "") {
    if (this.sending) return;
    const { item } = this;
    const refused = slot(this.root, "refused");
    refused.textContent = "";
    this.sending = true;
    try {
      item.mark = await sendMark(item.file, item.name, label, kind);
    } catch (error) {
      if (item === this.item) refused.textContent = error.message;
      else say(item.name + ": " + error.message);
      return;
    } finally {
      this.sending = false;
    }
    item.skipped = false;
    if (label === "defect") {
      lastKind = item.mark.class;
      offerKind(item.mark.class);
    }
    if (item === this.item) {
      this.form.hidden = true;
      slot(this.root, "defect").setAttribute("aria-expanded", "false");
    }
    changed(item);
    this.answered(item, saidWords(item.mark));
  }

  /** What a key does here; true if it does something. */
  key(key) {
    if (key === "g") this.good();
    else if (key === "d") this.askKind();
    else if (key === "h") toggleHeat();
    else return false;
    return true;
  }
}

export function offerKind(kind) {
  const list = document.getElementById("kinds");
  if ([...list.options].some((option) => option.value === kind)) return;
  const option = document.createElement("option");
  option.value = kind;
  list.append(option);
}

/** Show or hide all heat maps. */
export function toggleHeat(on = !document.body.classList.contains("heat")) {
  document.body.classList.toggle("heat", on);
  for (const box of document.querySelectorAll(".heat-toggle")) box.checked = on;
  say("Heat map " + (on ? "on." : "off."));
}

let closer;

/** Look closer at an image, above the page. */
export function look(item) {
  const dialog = document.getElementById("closer");
  closer ||= new Inspector(document.getElementById("closer-panel"), (_, words) => {
    say(words);
    slot(closer.root, "good").focus();
  });
  document.getElementById("closer-title").textContent = item.name;
  closer.show(item);
  dialog.showModal();
  document.getElementById("closer-title").focus();
}

export function startCloser() {
  const dialog = document.getElementById("closer");
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.addEventListener("ahl-changed", () => {
    if (!dialog.open) return;
    if (items.includes(closer.item)) closer.show(closer.item);
    else dialog.close();
  });
}

export function keyInCloser(key) {
  return closer.key(key);
}
