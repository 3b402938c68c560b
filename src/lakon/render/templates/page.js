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
  // A narrow legend has two names a row where a wide one has about five, and must not hide any behind a scroll bar.
  const twoColumns = (layout) => {
    const rows = Math.ceil(layout.meta.names / 2);
    layout.height += 18 * (rows - Math.ceil(layout.meta.names / 5));
    Object.assign(layout.legend, { xref: "container", font: { size: 10.5 }, maxheight: 20 * rows + 40 });
  };
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    for (const place of document.querySelectorAll("[data-figure]")) {
      const text = document.getElementById(place.dataset.figure).textContent;
      const { data, layout } = resolve(JSON.parse(text), style);
      if (narrow.matches) layout.font.size = 11;
      if (narrow.matches) twoColumns(layout);
      if (layout.meta.labelled) label(data, layout);
      Plotly.react(place, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
    }
  };
  // The page's policy names the hash of what is unpacked, so that nothing else can take the library's place.
  const unpack = async () => {
    const packed = Uint8Array.from(atob(document.getElementById("library").textContent), (each) => each.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };
  const start = () => {
    draw();
    dark.addEventListener("change", draw);
    narrow.addEventListener("change", draw);
  };
  const giveUp = () => {
    const said = "This browser is too old to draw the figure. Its numbers stand in the table below it.";
    for (const place of document.querySelectorAll(".plot")) place.textContent = said;
  };
  if ("DecompressionStream" in window) unpack().then(start);
  else giveUp();
})();
