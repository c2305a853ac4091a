// The result of an image, in the places that cards and the closer look have for it.

import { VERDICTS, saidWords, probabilityDigits, probabilityWords, verdictOf } from "./words.js";

const NEAR = [["nearest_anomaly", "Nearest defect"], ["nearest_normal", "Nearest good part"]];

export function slot(root, name) {
  return root.querySelector(`[data-slot="${name}"]`);
}

export function made(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

function text(name, content) {
  const element = document.createElement(name);
  element.textContent = content;
  return element;
}

export function showFacts(root, item) {
  const verdict = verdictOf(item);
  slot(root, "name").textContent = item.name;
  const badge = slot(root, "badge");
  badge.className = "badge " + verdict.kind;
  badge.querySelector("use").setAttribute("href", "#i-" + verdict.kind);
  badge.querySelector("span").textContent = verdict.words;
  const result = item.result || {};
  const score = slot(root, "score");
  score.replaceChildren();
  if (result.score !== undefined) {
    score.append(text("small", "Score "), result.score.toFixed(2));
  }
  showProbability(slot(root, "probability"), result.probability);
  slot(root, "reasons").replaceChildren(...(result.why || []).map(([words, value]) => {
    const line = text("li", "");
    line.append(text("span", words), text("b", "+" + value.toFixed(1)));
    return line;
  }));
  slot(root, "nearest").replaceChildren(...NEAR.filter(([key]) => result[key]).map(
    ([key, words]) => near(result[key], words)));
  const said = slot(root, "said");
  said.hidden = !item.mark;
  said.textContent = item.mark ? saidWords(item.mark) : "";
}

function showProbability(box, probability) {
  box.hidden = probability === undefined;
  if (box.hidden) return;
  box.querySelector(".meter div").style.width = 100 * probability + "%";
  const words = probabilityWords(probability);
  box.querySelector("p").replaceChildren(
    text("b", words[0].toUpperCase() + words.slice(1)), text("span", "probability " + probabilityDigits(probability)));
}

function near(found, words) {
  const figure = made("near");
  const image = figure.querySelector("img");
  const name = found.class === "good" ? found.name.split("/").at(-1) : found.class;
  if (found.picture) image.src = found.picture;
  else image.remove();
  figure.querySelector("span").textContent = words;
  figure.querySelector("b").textContent = name;
  figure.title = found.name;
  return figure;
}

export function spoken(item) {
  const verdict = item.result && item.result.verdict;
  const words = verdict ? VERDICTS[verdict].toLowerCase() + ", " : "";
  return item.result ? `${item.name}: ${words}score ${item.result.score.toFixed(2)}.` : `${item.name}: ${item.error}`;
}
