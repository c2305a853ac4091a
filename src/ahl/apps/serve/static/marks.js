// What was marked, and the command that updates the model.

import { marks as askMarks } from "./api.js";
import { made, slot } from "./facts.js";
import { items, known, onChange } from "./items.js";
import { look } from "./inspector.js";
import { showPicture } from "./pictures.js";
import { counted, listed, say, saidWords, trouble } from "./words.js";

const $ = (id) => document.getElementById(id);

export function startMarks() {
  $("copy").addEventListener("click", copy);
  onChange(show);
}

/** Ask the service what it keeps; other people may have marked too. */
export async function refreshMarks() {
  try {
    tell(await askMarks());
  } catch (error) {
    trouble(error.message);
  }
}

function tell(feedback) {
  known.keepsMarks = feedback.kept;
  $("no-store-marks").hidden = feedback.kept;
  $("teach").hidden = !feedback.teaching;
  $("nothing").hidden = !feedback.kept || feedback.teaching > 0 || !feedback.right;
  if (!feedback.kept) return;
  const parts = [
    counted(feedback.missed, "missed defect"),
    counted(feedback.false_alarms, "false alarm"),
    feedback.right.toLocaleString("en") + " that the model got right",
  ];
  const any = feedback.missed + feedback.false_alarms + feedback.right;
  $("marks-summary").textContent = any
    ? "The service keeps " + listed(parts) + "."
    : "Nothing is marked yet: mark images in the review.";
  $("command").textContent = feedback.command;
}

function show(changedItem) {
  const marked = items.filter((item) => item.mark);
  $("marks-count").textContent = marked.length || "";
  $("marked-title").hidden = !marked.length;
  $("marked").replaceChildren(...marked.map((item) => {
    const line = made("mark");
    const box = line.querySelector(".picture");
    box.append(document.createElement("canvas"));
    showPicture(box, item);
    box.classList.remove("hot");
    box.querySelector("img").alt = "";
    slot(line, "name").textContent = item.name;
    slot(line, "said").textContent = saidWords(item.mark);
    const change = slot(line, "change");
    change.setAttribute("aria-label", "Change: " + item.name);
    change.addEventListener("click", () => look(item));
    return line;
  }));
  if (!$("marks").hidden && changedItem && changedItem.mark) refreshMarks();
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("command").textContent);
    say("Copied.");
    $("copy").textContent = "Copied";
    setTimeout(() => { $("copy").textContent = "Copy"; }, 2000);
  } catch {
    // Not allowed on plain HTTP from elsewhere: select it instead.
    getSelection().selectAllChildren($("command"));
    say("Selected; copy it with the keyboard.");
  }
}
