// What the front ends share. It is put before each of them (see odam_lib.widgets.front_end): anywidget loads one module,
// without a server or a build step from which it could import another.

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
