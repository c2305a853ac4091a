"""Headless Chromium, and what pages are asked in it."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync
""".split()  # noqa: SIM905

# Text below the contrast that WCAG 2 asks for (4.5), with what it is; hidden text does not count.
LOW_CONTRAST = """() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(element).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [], seen = new Set();
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || ["title", "desc", "style"].includes(element.tagName.toLowerCase())) continue;
    const style = getComputedStyle(element);
    const colour = numbers(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(colour), light(ground(element))].sort((x, y) => y - x);
    seen.add(element.tagName.toLowerCase());
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(element.textContent.trim() + " " + style.color);
  }
  return [found, [...seen]];
}"""

# What reaches beyond the right edge of the screen.
TOO_WIDE = """() => [...document.body.querySelectorAll("*")].filter(e =>
      !e.closest(".scroll") && !e.closest("svg") && e.getBoundingClientRect().right > innerWidth + 1
    ).map(e => e.outerHTML.slice(0, 80))"""
