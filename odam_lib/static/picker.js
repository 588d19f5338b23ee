// The front end of odam_lib.widgets.InstancePicker: it places boxes, tells Python what was chosen, shows what Python drew.
// `make`, `frame` and `showPng` are those of common.js.

const SAME_PLACE = 6; // CSS pixels: a click this close to the last one repeats it
const LABEL_ROOM = 0.08; // share of the picture's height that a label needs above its box
const EDGES = ["x1", "y1", "x2", "y2"];

/** Which box a click at (x, y) selects: the smallest there or, if the click is repeated, the next larger; -1 for none. */
export function pick(boxes, x, y, repeated, selected) {
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const under = boxes
    .map((box, row) => ({ box, row }))
    .filter(({ box: [x1, y1, x2, y2] }) => x1 <= x && x <= x2 && y1 <= y && y <= y2)
    .sort((one, other) => area(one.box) - area(other.box))
    .map(({ row }) => row);
  if (!under.length) return -1;
  return under[repeated ? (under.indexOf(selected) + 1) % under.length : 0];
}

function choice(name, options) {
  const select = make("select", { name }, options.map(([value, title]) => make("option", { value }, [title])));
  return [select, make("label", {}, [make("span", {}, [name]), select])];
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

function detection(object, row, size) {
  const number = object.label.split(" ", 1)[0];
  const label = make("span", { class: "odam-label" }, [
    make("b", {}, [number]),
    make("span", {}, [object.label.slice(number.length)]),
  ]);
  label.classList.toggle("odam-above", object.box[1] > LABEL_ROOM * size[0]);
  label.classList.toggle("odam-leftward", object.box[0] + object.box[2] > 1.2 * size[1]);
  const node = outline(object, size);
  node.append(label);
  for (const [name, value] of [["role", "option"], ["aria-label", object.label], ["data-row", row]])
    node.setAttribute(name, value);
  return node;
}

function render({ model, el }) {
  const { size, objects, attributes, smoothings, sentence } = model.get("_about");
  const boxes = objects.map((object) => object.box);
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  const [objectSelect, objectLabel] = choice("object", objects.map(({ label }, row) => [row, label]));
  const [attributeSelect, attributeLabel] = choice("attribute", attributes);
  const [smoothingSelect, smoothingLabel] = choice("smoothing", smoothings.map((name) => [name, name]));
  const opacitySlider = make("input", { type: "range", name: "opacity", min: 0, max: 1, step: 0.05 });
  const opacityValue = make("output");
  const opacityLabel = make("label", {}, [make("span", {}, ["opacity"]), opacitySlider, opacityValue]);
  const controls = make("div", { class: "odam-controls" }, [
    objectLabel,
    attributeLabel,
    smoothingLabel,
    opacityLabel,
  ]);

  const picture = make("img", { alt: "the picture", draggable: "false" });
  const options = objects.map((object, row) => detection(object, row, size));
  const list = frame("odam-objects", size, [picture, ...options]);
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Objects found: arrow keys or a click select one");

  const map = make("img", { draggable: "false" });
  const mapFrame = frame("odam-map", size, [map]);
  const caption = make("figcaption", { "aria-live": "polite" });
  const thumbnails = attributes.map(([name, title]) => {
    const button = make("button", { type: "button", title, "data-attribute": name }, [make("img", { alt: "" }), name]);
    button.addEventListener("click", () => set("attribute", name));
    return button;
  });
  const strip = make("div", { class: "odam-strip", role: "group", "aria-label": "attribute" }, thumbnails);
  const found = make("figure", {}, [
    list,
    make("figcaption", {}, [sentence || "Click an object; click again for one behind it."]),
  ]);
  const explained = make("figure", {}, [mapFrame, caption, strip]);
  const alert = make("p", { class: "odam-error", role: "alert" });
  const views = make("div", { class: "odam-views" }, objects.length ? [found, explained] : [found]);
  const root = make("div", { class: "odam-picker" }, objects.length ? [controls, views, alert] : [views, alert]);

  objectSelect.addEventListener("change", () => set("selected", Number(objectSelect.value)));
  attributeSelect.addEventListener("change", () => set("attribute", attributeSelect.value));
  smoothingSelect.addEventListener("change", () => set("smoothing", smoothingSelect.value));
  opacitySlider.addEventListener("input", () => set("opacity", Number(opacitySlider.value)));

  let lastClick = null;
  const repeats = (event) =>
    lastClick !== null && Math.hypot(event.clientX - lastClick.clientX, event.clientY - lastClick.clientY) <= SAME_PLACE;
  const pickAt = (event) => {
    const { left, top, width, height } = list.getBoundingClientRect();
    const x = ((event.clientX - left) / width) * size[1];
    const y = ((event.clientY - top) / height) * size[0];
    return pick(boxes, x, y, repeats(event), model.get("selected"));
  };
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
    set("selected", row);
    hover(pickAt(event));
  });

  const keys = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  list.addEventListener("keydown", (event) => {
    const last = objects.length - 1;
    const target = { Home: 0, End: last }[event.key] ?? model.get("selected") + (keys[event.key] ?? NaN);
    if (Number.isNaN(target)) return;
    event.preventDefault();
    const row = Math.min(Math.max(target, 0), last);
    set("selected", row);
    options[row].focus();
  });
  // In JupyterLab's command mode these keys would move between cells or open one.
  root.addEventListener("keydown", (event) => {
    if (/^(Arrow|Home|End|Enter| )/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.shiftKey)
      event.stopPropagation();
  });

  const drawChoice = () => {
    const [selected, attribute, opacity] = ["selected", "attribute", "opacity"].map((name) => model.get(name));
    options.forEach((option, row) => {
      option.setAttribute("aria-selected", row === selected);
      option.tabIndex = row === selected ? 0 : -1;
    });
    thumbnails.forEach((button) => button.setAttribute("aria-pressed", button.dataset.attribute === attribute));
    objectSelect.value = selected;
    attributeSelect.value = attribute;
    smoothingSelect.value = model.get("smoothing");
    opacitySlider.value = opacity;
    opacityValue.value = opacity.toFixed(2);
    const shown = model.get("_shown");
    const stale = ["selected", "attribute", "smoothing"].some((name) => shown[name] !== model.get(name));
    mapFrame.setAttribute("aria-busy", stale && !model.get("error"));
    alert.textContent = model.get("error");
  };
  const drawMaps = () => {
    const { selected, attribute, smoothing, opacity, title, reason } = model.get("_shown");
    if (title === undefined) return;
    showPng(map, model.get("_map"));
    map.alt = `map of ${title}`;
    const box = outline(objects[selected], size);
    if (EDGES.includes(attribute)) box.classList.add(`odam-edge-${attribute}`);
    mapFrame.replaceChildren(map, box);
    Object.assign(mapFrame.dataset, { object: selected, attribute, smoothing, opacity });
    caption.textContent = [title, reason].filter(Boolean).join(". ");
    thumbnails.forEach((button) => showPng(button.firstChild, model.get("_strip")[button.dataset.attribute]));
    drawChoice();
  };

  showPng(picture, model.get("_picture"));
  drawChoice();
  drawMaps();
  const watched = [
    ...["selected", "attribute", "smoothing", "opacity", "error"].map((name) => [`change:${name}`, drawChoice]),
    ["change:_shown", drawMaps],
  ];
  watched.forEach(([event, draw]) => model.on(event, draw));
  el.append(root);
  return () => {
    watched.forEach(([event, draw]) => model.off(event, draw));
    root.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
  };
}

export default { render };
