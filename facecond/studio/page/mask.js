// Masks: one class id per pixel, in a Uint8Array, row by row. Nothing here knows the screen.

const SIZE = FACTS.model.size;
const ANYTHING = 255;

const WORDS = {
  eye_g: "glasses", l_eye: "left eye", r_eye: "right eye", l_brow: "left brow", r_brow: "right brow",
  l_ear: "left ear", r_ear: "right ear", u_lip: "upper lip", l_lip: "lower lip", ear_r: "earring",
  neck_l: "necklace", cloth: "clothes",
};
const className = (id) => (id === ANYTHING ? "anything" : WORDS[FACTS.classes[id].name] ?? FACTS.classes[id].name);
const colourOf = (id) => (id === ANYTHING ? FACTS.anything : FACTS.classes[id].colour);

const PARTNER = Uint8Array.from({ length: 256 }, (_, id) => id);
for (const [left, right] of FACTS.mirrored) {
  PARTNER[left] = right;
  PARTNER[right] = left;
}

const openMask = () => new Uint8Array(SIZE * SIZE).fill(ANYTHING);

function mirrored(mask) {
  const flipped = new Uint8Array(mask.length);
  for (let y = 0; y < SIZE; y++)
    for (let x = 0; x < SIZE; x++) flipped[y * SIZE + x] = PARTNER[mask[y * SIZE + SIZE - 1 - x]];
  return flipped;
}

// Pixels whose centre lies within a disc; the middle is given in pixels, a diameter of 1 is one pixel.
function stamp(mask, x, y, diameter, id) {
  const radius = Math.max(0.5, diameter / 2);
  const middleX = diameter <= 1 ? Math.floor(x) + 0.5 : x;
  const middleY = diameter <= 1 ? Math.floor(y) + 0.5 : y;
  for (let row = Math.max(0, Math.floor(middleY - radius)); row <= Math.min(SIZE - 1, middleY + radius); row++)
    for (let column = Math.max(0, Math.floor(middleX - radius)); column <= Math.min(SIZE - 1, middleX + radius); column++)
      if ((column + 0.5 - middleX) ** 2 + (row + 0.5 - middleY) ** 2 <= radius * radius) mask[row * SIZE + column] = id;
}

function stroke(mask, from, to, diameter, id) {
  const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) * 2));
  for (let i = 0; i <= steps; i++)
    stamp(mask, from.x + ((to.x - from.x) * i) / steps, from.y + ((to.y - from.y) * i) / steps, diameter, id);
}

// All pixels of one class that hang together with this one.
function flood(mask, x, y, id) {
  const old = mask[y * SIZE + x];
  if (old === id) return;
  const waiting = [y * SIZE + x];
  while (waiting.length) {
    const at = waiting.pop();
    if (mask[at] !== old) continue;
    mask[at] = id;
    const column = at % SIZE;
    if (column > 0) waiting.push(at - 1);
    if (column < SIZE - 1) waiting.push(at + 1);
    if (at >= SIZE) waiting.push(at - SIZE);
    if (at < SIZE * (SIZE - 1)) waiting.push(at + SIZE);
  }
}

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function textOf(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

// Colours as the pixels of a canvas hold them; "anything" is left transparent.
const PIXELS = new Uint32Array(256);
for (const { id, colour } of FACTS.classes) PIXELS[id] = new Uint32Array(Uint8Array.of(...colour, 255).buffer)[0];

// Shows a mask on a canvas of its own size.
function paintMask(canvas, mask) {
  if (canvas.width !== SIZE) canvas.width = canvas.height = SIZE;
  const picture = new ImageData(SIZE, SIZE);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let at = 0; at < mask.length; at++) pixels[at] = PIXELS[mask[at]];
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
