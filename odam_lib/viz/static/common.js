// What the front ends share. It is put before each of them (see odam_lib.viz.choosing.front_end): anywidget loads one module,
// without a server or a build step from which it could import another.

const SAME_PLACE = 6; // CSS pixels: a click this close to the last one repeats it
const LABEL_ROOM = 0.08; // share of the picture's height that a label needs above its box
const NUMBER_WIDE = 22; // CSS pixels of the number of a box that is not chosen
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function make(tag, attributes = {}, children = []) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function frame(name, [height, width], children) {
  const node = make("div", { class: `odam-frame ${name}` }, children);
  node.style.aspectRatio = `${width} / ${height}`;
  node.style.setProperty("--odam-aspect", width / height);
  return node;
}

function showPng(image, bytes) {
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
}

function dropDown(name, options) {
  const select = make("select", { name }, options.map(([value, title]) => make("option", { value }, [title])));
  return [select, make("label", {}, [make("span", {}, [name]), select])];
}

function slider(name, step) {
  const input = make("input", { type: "range", name, min: 0, max: 1, step });
  const output = make("output");
  return [input, output, make("label", {}, [make("span", {}, [name]), input, output])];
}

/** Where the pointer is in a frame, [x, y] in pixels of the image of this [height, width]. */
function pointIn(node, [high, wide], event) {
  const { left, top, width, height } = node.getBoundingClientRect();
  return [((event.clientX - left) / width) * wide, ((event.clientY - top) / height) * high];
}

function outline({ box: [x1, y1, x2, y2], colour }, [height, width]) {
  const node = make("div", { class: "odam-box" });
  node.style.left = `${(100 * x1) / width}%`;
  node.style.top = `${(100 * y1) / height}%`;
  node.style.width = `${(100 * (x2 - x1)) / width}%`;
  node.style.height = `${(100 * (y2 - y1)) / height}%`;
  node.style.setProperty("--odam-colour", colour);
  return node;
}

/** How many boxes before this one have their label where it would have its own. */
function crowding({ box: [left, top] }, before, [height, width]) {
  const near = ({ box: [x, y] }) => Math.abs(x - left) < 0.06 * width && Math.abs(y - top) < 0.05 * height;
  return before.filter(near).length;
}

function detection(object, row, size, before) {
  const number = object.label.split(" ", 1)[0];
  const label = make("span", { class: "odam-label" }, [
    make("b", {}, [number]),
    make("span", {}, [object.label.slice(number.length)]),
  ]);
  label.classList.toggle("odam-above", object.box[1] > LABEL_ROOM * size[0]);
  const leftward = object.box[0] + object.box[2] > 1.2 * size[1];
  label.classList.toggle("odam-leftward", leftward);
  label.style[leftward ? "marginRight" : "marginLeft"] = `${NUMBER_WIDE * crowding(object, before, size)}px`;
  const node = outline(object, size);
  node.append(label);
  for (const [name, value] of [["role", "option"], ["aria-label", object.label], ["data-row", row]])
    node.setAttribute(name, value);
  return node;
}

/** Which box a click at (x, y) selects: the smallest there or, if the click is repeated, the next larger; -1 for none. */
function pick(boxes, x, y, repeated, selected, free) {
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const under = boxes
    .map((box, row) => ({ box, row }))
    .filter(({ box: [x1, y1, x2, y2], row }) => x1 <= x && x <= x2 && y1 <= y && y <= y2 && free(row))
    .sort((one, other) => area(one.box) - area(other.box))
    .map(({ row }) => row);
  if (!under.length) return -1;
  return under[repeated ? (under.indexOf(selected) + 1) % under.length : 0];
}

/**
 * The picture with its objects, of which a click or arrow keys choose one.
 * `selected()` is the row to start from, `choose(row)` is told the choice, rows that are not `free` cannot be chosen.
 */
function objectList({ title, size, objects, picture, selected, choose, free = () => true }) {
  const boxes = objects.map((object) => object.box);
  const options = objects.map((object, row) => detection(object, row, size, objects.slice(0, row)));
  const list = frame("odam-objects", size, [picture, ...options]);
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", title);

  let lastClick = null;
  const repeats = (event) =>
    lastClick !== null && Math.hypot(event.clientX - lastClick.clientX, event.clientY - lastClick.clientY) <= SAME_PLACE;
  const pickAt = (event) => pick(boxes, ...pointIn(list, size, event), repeats(event), selected(), free);
  const hover = (row) => {
    options.forEach((option, other) => option.classList.toggle("odam-hover", other === row));
    list.classList.toggle("odam-pointing", row >= 0);
  };
  list.addEventListener("pointermove", (event) => hover(pickAt(event)));
  list.addEventListener("pointerleave", () => hover(-1));
  list.addEventListener("click", (event) => {
    const row = pickAt(event);
    lastClick = event;
    if (row < 0) return;
    choose(row);
    hover(pickAt(event));
  });
  list.addEventListener("keydown", (event) => {
    const rows = objects.map((_, row) => row).filter(free);
    const last = rows.length - 1;
    const target = { Home: 0, End: last }[event.key] ?? rows.indexOf(selected()) + (STEPS[event.key] ?? NaN);
    if (Number.isNaN(target)) return;
    event.preventDefault();
    const row = rows[Math.min(Math.max(target, 0), last)];
    choose(row);
    options[row].focus();
  });
  return { list, options };
}

/** In JupyterLab's command mode these keys would move between cells or open one. */
function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    if (/^(Arrow|Home|End|Enter| )/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.shiftKey)
      event.stopPropagation();
  });
}

/** Show the view and follow the model, `watched` [event, draw]; returns what anywidget calls when the view goes. */
function mount({ model, el }, root, watched) {
  watched.forEach(([event, draw]) => model.on(event, draw));
  el.append(root);
  return () => {
    watched.forEach(([event, draw]) => model.off(event, draw));
    root.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
  };
}
