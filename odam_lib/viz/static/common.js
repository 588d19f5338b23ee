// What the front ends share. It is put before each of them (see odam_lib.viz.front_ends.read_front_end): anywidget loads one module,
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

const WHOLE = [0, 0, 1, 1]; // [left, top, right, bottom] of a part of a picture, in shares of it

/** The pixels of a part of the picture that an img shows; of one longer than `side`, reduced. */
async function readPixels(image, side = Infinity, [left, top, right, bottom] = WHOLE) {
  await image.decode();
  const { naturalWidth: wide, naturalHeight: high } = image;
  const part = [left * wide, top * high, (right - left) * wide, (bottom - top) * high];
  const scale = Math.min(1, side / Math.max(part[2], part[3]));
  const [width, height] = part.slice(2).map((long) => Math.max(1, Math.round(long * scale)));
  const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(image, ...part, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** Maps that were sent as one grey PNG, one below the other, as [{ width, height, values }] with values in [0, 1]. */
async function readMaps(png, count) {
  const image = make("img");
  showPng(image, png);
  const { width, height, data } = await readPixels(image);
  URL.revokeObjectURL(image.src);
  const size = (width * height) / count;
  return Array.from({ length: count }, (_, place) => ({
    width,
    height: height / count,
    values: new Float32Array(size).map((_, cell) => data[4 * (place * size + cell)] / 255),
  }));
}

/** What lies below a map: the picture in grey and dimmed, 0 to 255, see odam_lib.viz.drawing.blend. */
function dim({ width, height, data }) {
  const values = new Float32Array(width * height).map((_, pixel) => {
    const [red, green, blue] = data.subarray(4 * pixel, 4 * pixel + 3);
    return 0.15 * 255 + 0.6 * (0.299 * red + 0.587 * green + 0.114 * blue);
  });
  return { width, height, values };
}

/** Between which two of `cells` in a line each of `count` pixels lies, how far from the first, and whether it is covered. */
function between(count, cells, [from, to], first, step, bounded) {
  return Array.from({ length: count }, (_, pixel) => {
    const at = (from + ((pixel + 0.5) / count) * (to - from) - first) / step;
    const within = Math.min(Math.max(at, 0), cells - 1);
    const low = Math.floor(within);
    const covered = !bounded || (at >= -0.5 && at <= cells - 0.5);
    return { low, high: Math.min(low + 1, cells - 1), share: within - low, covered };
  });
}

/**
 * Draw a map over a dimmed picture as odam_lib.viz.drawing.blend does, bilinear between its cells.
 * `first` is the centre of the map's first cell and `step` the distance of cells, [x, y] in shares of the picture;
 * what is below shows a part of the picture; `palette` is a list of 256
 * colours, three numbers each.
 */
function drawMap(canvas, below, map, { first, step, bounded }, palette, opacity, [left, top, right, bottom] = WHOLE) {
  const { width, height } = below;
  const columns = between(width, map.width, [left, right], first[0], step[0], bounded);
  const rows = between(height, map.height, [top, bottom], first[1], step[1], bounded);
  const pixels = new ImageData(width, height);
  let pixel = 0;
  for (const { low, high, share, covered } of rows) {
    const [upper, lower] = [low, high].map((line) => map.values.subarray(line * map.width, (line + 1) * map.width));
    const line = upper.map((value, cell) => (covered ? (1 - share) * value + share * lower[cell] : 0));
    for (const column of columns) {
      const heat = column.covered ? (1 - column.share) * line[column.low] + column.share * line[column.high] : 0;
      const colour = 3 * Math.min(Math.floor(256 * heat), 255);
      const weight = opacity * heat;
      const dark = (1 - weight) * below.values[pixel];
      for (let channel = 0; channel < 3; channel++) // a clamped array rounds
        pixels.data[4 * pixel + channel] = dark + weight * palette[colour + channel];
      pixels.data[4 * pixel + 3] = 255;
      pixel += 1;
    }
  }
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
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
