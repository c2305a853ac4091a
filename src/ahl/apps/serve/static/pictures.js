// Thumbnails, heat maps, and where they are strongest.

const SMALL = 480;
const LARGE = 1024;
const RED = [213, 94, 0];
const BLUE = [0, 114, 178];
const STRONGEST = 0.6; // of the colour: what lies below has to be seen
const FAINT = 0.25; // share of full red that cannot be made out on most images

const shownHeat = new WeakMap();

/** A small picture of a file: {url, width, height}; null if this browser cannot draw it. */
export async function thumbnail(file) {
  let whole;
  try {
    whole = await createImageBitmap(file);
  } catch {
    return null;
  }
  const scale = Math.min(1, SMALL / Math.max(whole.width, whole.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(whole.width * scale));
  canvas.height = Math.max(1, Math.round(whole.height * scale));
  const size = { width: whole.width, height: whole.height };
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.9));
  return { url: URL.createObjectURL(blob), ...size };
}

/**
 * Numbers of the service as {height, width, shares, colour}, as `ahl.scoring.places` colours them:
 * shares, 0 to 255, say how strongly each place is coloured. Red has the model's bounds; where next
 * to nothing reaches them, blue has the map's own.
 */
export function heatOf(raw, bounds) {
  const letters = atob(raw.data); // loops, here and below: hundreds of images may come in
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = letters.charCodeAt(place);
  const values = new Float32Array(bytes.buffer);
  const sorted = values.slice().sort();
  const own = [sorted[sorted.length >> 1], sorted.at(-1)];
  const red = !bounds || own[1] >= bounds[0] + FAINT * (bounds[1] - bounds[0]);
  const [low, high] = (red && bounds) || own;
  const range = Math.max(high - low, 1e-6);
  const shares = new Uint8ClampedArray(values.length);
  for (let place = 0; place < shares.length; place += 1) {
    shares[place] = (255 * (values[place] - low)) / range;
  }
  const [height, width] = raw.shape;
  return { height, width, shares, colour: red ? RED : BLUE };
}

/** Draw a heat map at an image's own proportions, to lie over it. */
export function drawHeat(canvas, heat, width, height, longest = SMALL) {
  const layer = document.createElement("canvas");
  layer.width = heat.width;
  layer.height = heat.height;
  const pixels = new ImageData(heat.width, heat.height);
  let strongest = 0;
  for (let place = 0; place < heat.shares.length; place += 1) {
    pixels.data.set([...heat.colour, heat.shares[place] * STRONGEST], 4 * place);
    strongest = Math.max(strongest, heat.shares[place]);
  }
  layer.getContext("2d").putImageData(pixels, 0, 0);
  const scale = longest / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  if (strongest) outline(context, canvas.width, canvas.height, heat.colour, strongest / 2);
}

/** Draw a line around what is strong: the strongest place always, for any eyes. */
function outline(context, width, height, colour, edge) {
  const pixels = context.getImageData(0, 0, width, height);
  const { data } = pixels;
  const strong = new Uint8Array(width * height);
  for (let place = 0; place < strong.length; place += 1) {
    strong[place] = data[4 * place + 3] > edge * STRONGEST ? 1 : 0;
  }
  const reach = Math.max(1, Math.round(Math.max(width, height) / 220));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const place = y * width + x;
      if (!strong[place]) continue;
      const inner = x >= reach && x < width - reach && y >= reach && y < height - reach
        && strong[place - reach] && strong[place + reach]
        && strong[place - reach * width] && strong[place + reach * width];
      if (!inner) data.set([...colour, 255], 4 * place);
    }
  }
  context.putImageData(pixels, 0, 0);
}

/** Show an item's picture in a `.picture`: small in a card, else the whole file. */
export function showPicture(box, item, large = false) {
  const [image, canvas] = box.querySelectorAll("img, canvas");
  const url = large && item.small ? item.url : item.small && item.small.url;
  const source = url || item.drawn;
  if (source && image.getAttribute("src") !== source) image.src = source;
  if (!source) image.removeAttribute("src");
  image.alt = item.name + (item.heat || item.drawn ? ". " + item.result.where : "");
  const hot = Boolean(item.heat && item.small);
  box.classList.toggle("hot", hot);
  if (hot && shownHeat.get(canvas) !== item.heat) {
    shownHeat.set(canvas, item.heat);
    drawHeat(canvas, item.heat, item.small.width, item.small.height, large ? LARGE : SMALL);
  }
}
