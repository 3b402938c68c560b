// Draws every figure of the page from the inert JSON beside it, in the colours of the page's style sheet.
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 40rem)");
  const resolve = (node, style) => {
    if (typeof node === "string") {
      const name = /^var\((--[\w-]+)\)$/.exec(node);
      return name ? style.getPropertyValue(name[1]).trim() : node;
    }
    if (Array.isArray(node)) return node.map((each) => resolve(each, style));
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, each]) => [key, resolve(each, style)]));
  };
  // Where there is room, names stand beside their points; on a narrow page a legend carries them.
  const label = (data, layout) => {
    layout.showlegend = narrow.matches;
    if (!narrow.matches) layout.height -= 40;
    if (narrow.matches) for (const trace of data) trace.mode = "markers";
  };
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    for (const place of document.querySelectorAll("[data-figure]")) {
      const text = document.getElementById(place.dataset.figure).textContent;
      const { data, layout } = resolve(JSON.parse(text), style);
      if (narrow.matches) layout.font.size = 11;
      // a narrow legend has two names a row where a wide one has five
      if (narrow.matches) layout.height += 18 * (Math.ceil(layout.meta.names / 2) - Math.ceil(layout.meta.names / 5));
      if (layout.meta.labelled) label(data, layout);
      Plotly.react(place, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
    }
  };
  draw();
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
})();
