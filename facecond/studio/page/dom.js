// The shadow root that the page lives in, and small ways to build elements and to talk inside it.

const host = element.querySelector(".facecond-studio");
const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
root.innerHTML = `<style>${STYLE}</style>${MARKUP}`;

const byId = (id) => root.getElementById(id);
const shell = root.querySelector(".studio");

const SHAPES = {
  brush: '<path d="M15.5 3.5 8 11l1.8 1.8 7-7.6a1.2 1.2 0 0 0-1.3-1.7Z"/><path d="M7.6 11.4c-2.2-.3-3.4 1-3.6 2.7-.1 1.2-.7 1.9-1.5 2.2 2.7.9 6.3.2 6.9-3"/>',
  fill: '<path d="m9 3 6.5 6.5-5.7 5.7a1.4 1.4 0 0 1-2 0L3.3 10.700a1.4 1.4 0 0 1 0-2L9 3Z"/><path d="M3 9.800h12"/><path d="M17 12.500c.9 1.3 1.4 2.1 1.4 2.800a1.4 1.4 0 0 1-2.8 0c0-.7.5-1.5 1.4-2.800Z"/>',
  eraser: '<path d="m8.2 16.5-4.7-4.700a1.3 1.3 0 0 1 0-1.800l6.3-6.300a1.3 1.3 0 0 1 1.8 0l4.7 4.700a1.3 1.3 0 0 1 0 1.800l-6.3 6.300Z"/><path d="m6.5 7 6.5 6.500M8 16.500h9"/>',
  pick: '<path d="m11.5 5.5 3 3M4 16l.6-3 7.2-7.200a2 2 0 0 1 2.9 0 2 2 0 0 1 0 2.900L7.5 15.9 4 16Z"/>',
  undo: '<path d="M7 4 3.5 7.5 7 11"/><path d="M3.5 7.500h8a4.5 4.5 0 0 1 0 9H8"/>',
  redo: '<path d="m13 4 3.5 3.500L13 11"/><path d="M16.5 7.500h-8a4.5 4.5 0 0 0 0 9H12"/>',
  mirror: '<path d="M10 3v14" stroke-dasharray="2 2"/><path d="M7.5 5.500v9L3 13.500v-7l4.5-1Z"/><path d="M12.5 5.500v9l4.5-1v-7l-4.5-1Z"/>',
  twin: '<path d="M10 3v14" stroke-dasharray="2 2"/><circle cx="5.5" cy="10" r="2.3"/><circle cx="14.5" cy="10" r="2.3"/>',
  clear: '<path d="M4 6h12M8 6V4h4v2M6 6l.7 10.500h6.600L14 6"/>',
  zoomIn: '<circle cx="9" cy="9" r="5.5"/><path d="m13.2 13.2 3.8 3.800M9 6.800v4.400M6.8 9h4.4"/>',
  zoomOut: '<circle cx="9" cy="9" r="5.5"/><path d="m13.2 13.2 3.8 3.800M6.8 9h4.4"/>',
  ghost: '<circle cx="10" cy="10" r="7"/><path d="M7.2 8.500h.01M12.8 8.500h.01M7.3 12.300c1.6 1.5 3.8 1.5 5.4 0"/>',
  grid: '<rect x="3.5" y="3.5" width="5.5" height="5.5" rx="1"/><rect x="11" y="3.5" width="5.5" height="5.5" rx="1"/><rect x="3.5" y="11" width="5.5" height="5.5" rx="1"/><rect x="11" y="11" width="5.5" height="5.5" rx="1"/>',
  dice: '<rect x="3.5" y="3.5" width="13" height="13" rx="3"/><path d="M7 7h.01M13 7h.01M10 10h.01M7 13h.01M13 13h.01" stroke-width="2.2"/>',
  open: '<path d="M10 12.500V4M6.8 7 10 3.8 13.2 7"/><path d="M4 12v3.500h12V12"/>',
  save: '<path d="M10 3.500V12M6.8 9 10 12.2 13.2 9"/><path d="M4 12v3.500h12V12"/>',
  sun: '<circle cx="10" cy="10" r="3.3"/><path d="M10 2.500v2M10 15.500v2M2.5 10h2M15.5 10h2M4.7 4.700l1.4 1.400M13.9 13.900l1.4 1.400M4.7 15.300l1.4-1.400M13.9 6.100l1.4-1.4"/>',
  moon: '<path d="M16.5 11.500A6.8 6.8 0 1 1 8.5 3.500a5.3 5.3 0 0 0 8 8Z"/>',
  keys: '<rect x="2.5" y="5" width="15" height="10" rx="2"/><path d="M5.5 8h.01M8.5 8h.01M11.5 8h.01M14.5 8h.01M6.5 12h7"/>',
  face: '<rect x="3.5" y="3.5" width="13" height="13" rx="2.5"/><circle cx="10" cy="8.8" r="2.4"/><path d="M5.8 16.3c.6-2.4 2.2-3.600 4.2-3.600s3.600 1.200 4.200 3.600"/>',
  close: '<path d="m5 5 10 10M15 5 5 15"/>',
  pin: '<path d="M7 3.500h6l-.8 5 2.3 2.500H5.500L7.8 8.5 7 3.500ZM10 11v6"/>',
  spark: '<path d="M10 3c.6 4 2.5 6 7 7-4.5 1-6.4 3-7 7-.6-4-2.5-6-7-7 4.5-1 6.4-3 7-7Z"/>',
  dial: '<path d="M3.5 6h8M15 6h1.500M3.5 14H5M8.5 14h8"/><circle cx="13.2" cy="6" r="1.8"/><circle cx="6.8" cy="14" r="1.8"/>',
};

function icon(name) {
  const around = document.createElement("span");
  around.className = "icon";
  around.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true">${SHAPES[name]}</svg>`;
  return around;
}

// An element: properties that begin with "on" listen, "data" and "style" are objects.
function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) made.style.setProperty(k, v);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const button = (label, shape, onclick, kind = "icon-button") =>
  make("button", { className: kind, title: label, "aria-label": label, type: "button", onclick }, icon(shape));

const bus = new EventTarget();
const emit = (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail }));
const on = (name, act) => bus.addEventListener(name, (event) => act(event.detail));

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 100000;
const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

// What went wrong, in words, until the next thing goes right; or what is to be known, as a note.
const alertBox = byId("alert");
function complain(fault, kind = "fault") {
  alertBox.dataset.kind = kind;
  alertBox.replaceChildren(
    make("p", {}, make("strong", {}, `${capital(fault.what)}.`), fault.fix ? ` ${fault.fix}` : ""),
    button("Dismiss", "close", calm),
  );
  alertBox.hidden = false;
}
function calm() {
  alertBox.hidden = true;
}
