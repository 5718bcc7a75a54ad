// The canvas: strokes, fill, undo and redo, zoom; mouse, pen and touch.

const DEEPEST_UNDO = 60;
const painter = {
  mask: openMask(),
  tool: "brush", // brush, fill, pick
  id: 13,
  diameter: Math.max(2, Math.round(SIZE / 12)),
  twin: false,
  past: [],
  future: [],
};
let gesture = null; // what the pointers on the canvas are doing; its kind is stroke, tap, drag, pinch or rest

const canvas = byId("canvas");
const viewport = byId("viewport");
const stage = byId("stage");
const ring = byId("ring");
const view = { scale: 1, x: 0, y: 0 };

function showMask() {
  paintMask(canvas, painter.mask);
  emit("mask");
}

// What the mask was before it changed.
function remember(before) {
  painter.past.push(before);
  if (painter.past.length > DEEPEST_UNDO) painter.past.shift();
  painter.future = [];
}

// Replaces the whole mask; can be undone.
function useMask(mask) {
  endStroke();
  remember(painter.mask);
  painter.mask = mask.slice();
  showMask();
}

function undo() {
  endStroke();
  if (!painter.past.length) return;
  painter.future.push(painter.mask);
  painter.mask = painter.past.pop();
  showMask();
}

function redo() {
  endStroke();
  if (!painter.future.length) return;
  painter.past.push(painter.mask);
  painter.mask = painter.future.pop();
  showMask();
}

function chooseTool(tool) {
  painter.tool = tool;
  emit("tool");
}

function chooseClass(id) {
  painter.id = id;
  if (painter.tool === "pick") painter.tool = "brush";
  emit("tool");
}

function chooseDiameter(diameter) {
  painter.diameter = clamp(Math.round(diameter), 1, Math.round(SIZE / 2));
  emit("tool");
}

// Zoom about a point of the viewport, given in its pixels.
function zoomTo(scale, about = { x: viewport.clientWidth / 2, y: viewport.clientHeight / 2 }) {
  const next = clamp(scale, 1, 12);
  view.x = about.x - ((about.x - view.x) * next) / view.scale;
  view.y = about.y - ((about.y - view.y) * next) / view.scale;
  view.scale = next;
  settleView();
}

function settleView() {
  view.x = clamp(view.x, viewport.clientWidth * (1 - view.scale), 0);
  view.y = clamp(view.y, viewport.clientHeight * (1 - view.scale), 0);
  stage.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  emit("zoom");
}

function pixelAt(event) {
  const box = canvas.getBoundingClientRect();
  return { x: ((event.clientX - box.left) / box.width) * SIZE, y: ((event.clientY - box.top) / box.height) * SIZE };
}

const inside = (at) => at.x >= 0 && at.y >= 0 && at.x < SIZE && at.y < SIZE;

function pick(at) {
  if (inside(at)) chooseClass(painter.mask[Math.floor(at.y) * SIZE + Math.floor(at.x)]);
}

function brushOver(from, to, id) {
  stroke(painter.mask, from, to, painter.diameter, id);
  if (!painter.twin) return;
  const across = ({ x, y }) => ({ x: SIZE - x, y });
  stroke(painter.mask, across(from), across(to), painter.diameter, PARTNER[id]);
}

const fingers = new Map(); // pointer -> its last event
let spaceHeld = false;

viewport.addEventListener("pointerdown", (event) => {
  if (event.button === 2 && event.pointerType === "mouse") return;
  viewport.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event);
  if (fingers.size > 1) {
    // A second finger means to zoom: what the first one began is taken back. A third one is a hand.
    if (gesture.kind === "stroke") takeBack();
    gesture = fingers.size === 2 ? { kind: "pinch", ...pinchOf() } : { kind: "rest" };
    return;
  }
  const at = pixelAt(event);
  if (event.button === 1 || spaceHeld) gesture = { kind: "drag", x: event.clientX, y: event.clientY };
  else if (event.altKey || painter.tool === "pick") gesture = { kind: "tap", act: () => pick(at) };
  else if (painter.tool === "fill") gesture = { kind: "tap", act: () => fill(at) };
  else {
    gesture = { kind: "stroke", last: at, id: painter.id, before: painter.mask.slice() };
    brushOver(at, at, gesture.id);
    showMask();
  }
});

viewport.addEventListener("pointermove", (event) => {
  showRing(event);
  if (!fingers.has(event.pointerId)) return;
  fingers.set(event.pointerId, event);
  if (gesture.kind === "pinch") return pinch();
  if (gesture.kind === "drag") {
    view.x += event.clientX - gesture.x;
    view.y += event.clientY - gesture.y;
    Object.assign(gesture, { x: event.clientX, y: event.clientY });
    return settleView();
  }
  if (gesture.kind !== "stroke") return;
  for (const part of event.getCoalescedEvents?.() ?? [event]) {
    const at = pixelAt(part);
    brushOver(gesture.last, at, gesture.id);
    gesture.last = at;
  }
  showMask();
});

// The last finger ends what is under way; until then, those that are left of a pinch do nothing.
function letGo(event) {
  if (!fingers.delete(event.pointerId)) return;
  if (fingers.size) return void (gesture = { kind: "rest" });
  if (gesture.kind === "tap" && event.type === "pointerup") gesture.act();
  endStroke();
  gesture = null;
}
viewport.addEventListener("pointerup", letGo);
viewport.addEventListener("pointercancel", letGo);
viewport.addEventListener("pointerleave", () => showRing(null));

// A stroke counts from its end on: until then, undo and redo know nothing of it.
function endStroke() {
  if (gesture?.kind !== "stroke") return;
  remember(gesture.before);
  gesture = { kind: "rest" };
  emit("mask");
}

function takeBack() {
  painter.mask = gesture.before;
  showMask();
}

function fill(at) {
  if (!inside(at)) return;
  remember(painter.mask.slice());
  flood(painter.mask, Math.floor(at.x), Math.floor(at.y), painter.id);
  showMask();
}

function pinchOf() {
  const [a, b] = [...fingers.values()];
  const box = viewport.getBoundingClientRect();
  return {
    span: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
    x: (a.clientX + b.clientX) / 2 - box.left,
    y: (a.clientY + b.clientY) / 2 - box.top,
  };
}

function pinch() {
  const now = pinchOf();
  view.x += now.x - gesture.x;
  view.y += now.y - gesture.y;
  zoomTo((view.scale * now.span) / Math.max(1, gesture.span), now);
  Object.assign(gesture, now);
}

viewport.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
    event.preventDefault();
    const box = viewport.getBoundingClientRect();
    zoomTo(view.scale * Math.exp(-event.deltaY / 300), { x: event.clientX - box.left, y: event.clientY - box.top });
  },
  { passive: false },
);

function showRing(event) {
  const at = event && pixelAt(event);
  const seen = at && inside(at);
  byId("hover-name").hidden = !seen;
  if (seen) byId("hover-name").textContent = className(painter.mask[Math.floor(at.y) * SIZE + Math.floor(at.x)]);
  ring.hidden = !seen || painter.tool !== "brush" || event.pointerType === "touch";
  if (ring.hidden) return;
  const share = (pixels) => `${(100 * pixels) / SIZE}%`;
  ring.style.width = ring.style.height = share(painter.diameter);
  ring.style.left = share(at.x - painter.diameter / 2);
  ring.style.top = share(at.y - painter.diameter / 2);
}
