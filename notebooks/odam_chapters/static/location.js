// The front end of odam_chapters.attention.widget.LocationPicker: it tells the model which cell was chosen, draws what it gets.
// What is neither defined here nor the browser's is in common.js.

const KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** The [row, column] of the cell nearest to a point given in pixels of the image. */
export function cellAt({ cells, first, step }, x, y) {
  const nearest = (value, axis, count) => Math.min(Math.max(Math.round((value - first[axis]) / step[axis]), 0), count - 1);
  return [nearest(y, 1, cells[0]), nearest(x, 0, cells[1])];
}

function render({ model, el }) {
  const about = model.get("_about");
  const { size, cells, first, step, grid, palette, opacity } = about;
  const picture = make("img", { alt: "the picture", draggable: "false" });
  const map = make("canvas", { role: "img" });
  const marks = [make("div", { class: "odam-place" }), make("div", { class: "odam-place" })];
  const chooser = frame("odam-places odam-pointing", size, [picture, marks[0]]);
  for (const [name, value] of Object.entries({
    tabindex: 0,
    role: "application",
    "aria-label": "Place in the picture: a click chooses it, arrow keys move it",
  }))
    chooser.setAttribute(name, value);
  const mapFrame = frame("odam-map", size, [map, marks[1]]);
  const caption = make("figcaption", { "aria-live": "polite" });
  const help = make("figcaption", {}, ["Click a place; arrow keys move it."]);
  const views = make("div", { class: "odam-views" }, [
    make("figure", {}, [chooser, help]),
    make("figure", {}, [mapFrame, caption]),
  ]);
  const alert = make("p", { class: "odam-error", role: "alert" });
  const root = make("div", { class: "odam-picker odam-location" }, [views, alert]);

  const choose = (row, column) => {
    model.set({
      row: Math.min(Math.max(row, 0), cells[0] - 1),
      column: Math.min(Math.max(column, 0), cells[1] - 1),
    });
    model.save_changes();
  };
  chooser.addEventListener("click", (event) => {
    choose(...cellAt(about, ...pointIn(chooser, size, event)));
    chooser.focus();
  });
  // In JupyterLab's command mode these keys would move between cells.
  chooser.addEventListener("keydown", (event) => {
    if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    const [down, right] = KEYS[event.key];
    choose(model.get("row") + down, model.get("column") + right);
  });

  const place = (mark, row, column) => {
    mark.style.left = `${(100 * (first[0] + (column - 0.5) * step[0])) / size[1]}%`;
    mark.style.top = `${(100 * (first[1] + (row - 0.5) * step[1])) / size[0]}%`;
    mark.style.width = `${(100 * step[0]) / size[1]}%`;
    mark.style.height = `${(100 * step[1]) / size[0]}%`;
  };
  showPng(picture, model.get("_picture"));
  const below = readPixels(picture).then(dim);
  let drawn = {};

  const drawChoice = () => {
    const [row, column, error] = ["row", "column", "error"].map((name) => model.get(name));
    place(marks[0], row, column);
    mapFrame.setAttribute("aria-busy", (drawn.row !== row || drawn.column !== column) && !error);
    alert.textContent = error;
  };
  const draw = async () => {
    const shown = model.get("_shown");
    if (shown.title === undefined) return;
    const [[attention], picture] = await Promise.all([readMaps(model.get("_map"), 1), below]);
    if (shown !== model.get("_shown")) return; // another place was chosen meanwhile
    const { row, column, title } = (drawn = shown);
    drawMap(map, picture, attention, grid, palette, opacity);
    map.setAttribute("aria-label", title);
    caption.textContent = title;
    place(marks[1], row, column);
    Object.assign(mapFrame.dataset, { row, column });
    drawChoice();
  };

  drawChoice();
  draw();
  return mount({ model, el }, root, [
    ...["row", "column", "error"].map((name) => [`change:${name}`, drawChoice]),
    ["change:_shown", draw],
  ]);
}

export default { render };
