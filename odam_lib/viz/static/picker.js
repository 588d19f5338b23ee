// The front end of odam_lib.viz.widgets.InstancePicker and of odam_lib.viz.standalone.write_figure: it places boxes, tells
// the model what was chosen, draws the maps that it gets. What is neither defined here nor the browser's is in common.js.

const EDGES = ["x1", "y1", "x2", "y2"];
const THUMBNAIL_SIDE = 160;

function render({ model, el }) {
  const { size, objects, attributes, smoothings, sentence, palette } = model.get("_about");
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  const [objectSelect, objectLabel] = dropDown("object", objects.map(({ label }, row) => [row, label]));
  const [attributeSelect, attributeLabel] = dropDown("attribute", attributes);
  const [smoothingSelect, smoothingLabel] = dropDown("smoothing", smoothings.map((name) => [name, name]));
  const [opacitySlider, opacityValue, opacityLabel] = slider("opacity", 0.05);
  const controls = make("div", { class: "odam-controls" }, [
    objectLabel,
    attributeLabel,
    ...(smoothings.length > 1 ? [smoothingLabel] : []),
    opacityLabel,
  ]);

  const picture = make("img", { alt: "", draggable: "false" });
  const { list, options } = objectList({
    title: "Objects found: arrow keys or a click select one",
    size,
    objects,
    picture,
    selected: () => model.get("selected"),
    choose: (row) => set("selected", row),
  });

  const map = make("canvas", { role: "img" });
  const mapFrame = frame("odam-map", size, [map]);
  const caption = make("figcaption", { "aria-live": "polite" });
  const thumbnails = attributes.map(([name, title]) => {
    const button = make("button", { type: "button", title, "data-attribute": name }, [make("canvas"), name]);
    button.addEventListener("click", () => set("attribute", name));
    return button;
  });
  const strip = make("div", { class: "odam-strip", role: "group", "aria-label": "attribute" }, thumbnails);
  const found = make("figure", {}, [
    list,
    make("figcaption", {}, [objects.length ? `Click an object; click again for one behind it. ${sentence}` : sentence]),
  ]);
  const explained = make("figure", {}, [mapFrame, caption, strip]);
  const alert = make("p", { class: "odam-error", role: "alert" });
  const views = make("div", { class: "odam-views" }, objects.length ? [found, explained] : [found]);
  const root = make("div", { class: "odam-picker" }, objects.length ? [controls, views, alert] : [views, alert]);

  objectSelect.addEventListener("change", () => set("selected", Number(objectSelect.value)));
  attributeSelect.addEventListener("change", () => set("attribute", attributeSelect.value));
  smoothingSelect.addEventListener("change", () => set("smoothing", smoothingSelect.value));
  opacitySlider.addEventListener("input", () => set("opacity", Number(opacitySlider.value)));

  keepKeys(root);

  showPng(picture, model.get("_picture"));
  const below = Promise.all([Infinity, THUMBNAIL_SIDE].map(async (side) => dim(await readPixels(picture, side))));
  let drawn = null; // the maps that were read last, of which object, and the picture below them

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
    const stale = ["selected", "smoothing"].some((name) => drawn?.shown[name] !== model.get(name));
    mapFrame.setAttribute("aria-busy", stale && !model.get("error"));
    alert.textContent = model.get("error");
  };
  const drawLarge = () => {
    drawChoice();
    if (!drawn) return;
    const [attribute, opacity] = [model.get("attribute"), model.get("opacity")];
    const { selected, smoothing, grid, reasons } = drawn.shown;
    const place = attributes.findIndex(([name]) => name === attribute);
    const title = `${objects[selected].label}: ${attributes[place][1]}`;
    drawMap(map, drawn.large, drawn.maps[place], grid, palette, opacity);
    map.setAttribute("aria-label", `map of ${title}`);
    const box = outline(objects[selected], size);
    if (EDGES.includes(attribute)) box.classList.add(`odam-edge-${attribute}`);
    mapFrame.replaceChildren(map, box);
    Object.assign(mapFrame.dataset, { object: selected, attribute, smoothing, opacity });
    const said = [title, reasons[place]].filter(Boolean).join(". ");
    if (caption.textContent !== said) caption.textContent = said; // or a reader would hear it at each step of the opacity
  };
  const drawMaps = async () => {
    const shown = model.get("_shown");
    if (shown.grid === undefined) return;
    const [maps, [large, small]] = await Promise.all([readMaps(model.get("_maps"), attributes.length), below]);
    if (shown !== model.get("_shown")) return; // another choice was drawn meanwhile
    drawn = { shown, maps, large };
    drawLarge();
    thumbnails.forEach((button, place) => drawMap(button.firstChild, small, maps[place], shown.grid, palette, 0.8));
  };

  drawChoice();
  drawMaps();
  return mount({ model, el }, root, [
    ...["selected", "smoothing", "error"].map((name) => [`change:${name}`, drawChoice]),
    ...["attribute", "opacity"].map((name) => [`change:${name}`, drawLarge]),
    ["change:_shown", drawMaps],
  ]);
}

export default { render };
