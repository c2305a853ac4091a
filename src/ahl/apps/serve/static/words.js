// What things are called, and saying them to screen readers.

export const VERDICTS = { anomalous: "Anomalous", uncertain: "Uncertain", normal: "Normal" };

const PROBABILITIES = [
  [0.05, "very likely good"],
  [0.25, "probably good"],
  [0.75, "could be either"],
  [0.95, "probably a defect"],
  [Infinity, "very likely a defect"],
];

const OUTCOMES = {
  missed: "the model missed it",
  false_alarm: "a false alarm of the model",
  right: "the model got it right",
};

export function probabilityWords(probability) {
  return PROBABILITIES.find(([end]) => probability < end)[1];
}

/** Two digits, but never a certainty that rounding makes. */
export function probabilityDigits(probability) {
  if (probability > 0.994) return ">\u20090.99";
  if (probability < 0.006) return "<\u20090.01";
  return probability.toFixed(2);
}

export function verdictOf(item) {
  if (item.state === "failed") return { kind: "none", words: "Not scored" };
  if (item.state !== "scored") return { kind: "none", words: item.state === "scoring" ? "Scoring" : "Waiting" };
  const kind = item.result.verdict;
  return kind ? { kind, words: VERDICTS[kind] } : { kind: "none", words: "No threshold" };
}

export function saidWords(mark) {
  const what = mark.class === "good" ? "good" : "a defect (" + mark.class + ")";
  return "You said: " + what + "; " + OUTCOMES[mark.outcome] + ".";
}

export function counted(count, one, many = one + "s") {
  return count.toLocaleString("en") + " " + (count === 1 ? one : many);
}

export function listed(words) {
  return words.length < 2 ? words.join("") : words.slice(0, -1).join(", ") + " and " + words.at(-1);
}

let pending;

/** Say something to screen readers; what follows within a moment replaces it. */
export function say(text) {
  clearTimeout(pending);
  const place = document.getElementById("say");
  pending = setTimeout(() => {
    // The same text twice would not be said twice.
    place.textContent = place.textContent === text ? text + "\u00a0" : text;
  }, 150);
}

export function trouble(text) {
  document.getElementById("trouble").textContent = text;
}
