// Starts the page: sign in, views, keys.

import { hasToken, keepToken, model as askModel } from "./api.js";
import { keyInCloser, offerKind, startCloser, toggleHeat } from "./inspector.js";
import { changed, known } from "./items.js";
import { refreshMarks, startMarks } from "./marks.js";
import { keyInReview, openReview, startReview } from "./review.js";
import { startResults } from "./results.js";
import { goOn } from "./scoring.js";
import { counted, listed, trouble } from "./words.js";

const $ = (id) => document.getElementById(id);
const VIEWS = ["images", "review", "marks"];
const KEYS = "ahl-keys-off";
let entered = false;

function show(view, focus) {
  for (const name of [...VIEWS, "sign-in"]) $(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === "#" + view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = $(view + "-title");
  document.title = title.textContent + ": ahl";
  if (view === "review") openReview();
  if (view === "marks") refreshMarks();
  if (focus) title.focus();
}

function viewOf(hash) {
  return VIEWS.includes(hash.slice(1)) ? hash.slice(1) : "images";
}

async function enter() {
  try {
    known.model = await askModel();
    await refreshMarks();
  } catch (error) {
    if (error.code !== "unauthorized") trouble(error.message);
    return;
  }
  entered = true;
  trouble("");
  const model = known.model;
  const kinds = model.classes.length ? ": " + listed(model.classes) : "";
  $("model").textContent = `The model knows ${counted(model.normals, "good image")} and `
    + `${counted(model.anomalies, "defect")}${kinds}.`
    + (model.decision ? "" : " It has no threshold, so there are no verdicts; set one with ahl threshold.");
  model.classes.forEach(offerKind);
  $("views").hidden = false;
  $("sign-out").hidden = !hasToken();
  show(viewOf(location.hash), !$("sign-in").hidden);
  changed();
  goOn();
}

function signedOut() {
  $("sign-in-error").textContent = hasToken() ? "The service does not accept this token." : "";
  keepToken("");
  entered = false;
  $("views").hidden = true;
  $("sign-out").hidden = true;
  if ($("closer").open) $("closer").close();
  if ($("sign-in").hidden) {
    show("sign-in", false);
    $("token").focus();
  }
}

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || !entered) return;
  if (!$("keys").checked || event.target.closest("input:not([type=checkbox]), select, textarea")) return;
  const key = event.key.toLowerCase();
  const handled = $("closer").open ? keyInCloser(key) : !$("review").hidden && keyInReview(key);
  if (handled) event.preventDefault();
}

document.addEventListener("ahl-signed-out", signedOut);
document.addEventListener("keydown", onKey);
document.addEventListener("change", (event) => {
  if (event.target.matches(".heat-toggle")) toggleHeat(event.target.checked);
});
addEventListener("hashchange", () => {
  if (!entered) return;
  trouble("");
  show(viewOf(location.hash), true);
});
$("keys").checked = !localStorage.getItem(KEYS);
$("keys").addEventListener("change", () => {
  if ($("keys").checked) localStorage.removeItem(KEYS);
  else localStorage.setItem(KEYS, "1");
});
$("sign-out").addEventListener("click", () => {
  keepToken("");
  location.reload();
});
$("sign-in").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken($("token").value.trim());
  $("token").value = "";
  enter();
});

document.body.classList.add("heat");
startResults();
startReview();
startMarks();
startCloser();
enter();
