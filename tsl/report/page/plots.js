// The common style of all figures.

const PLOTLY = { displaylogo: false, responsive: true, toImageButtonOptions: { format: "svg" },
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"];
const DASHES = ["solid", "dash", "dashdot", "dot"];
const DARK = matchMedia("(prefers-color-scheme: dark)").matches;
const INK = DARK ? "#e6e6e6" : "#1a1a1a";
const AXIS = { gridcolor: DARK ? "#33373b" : "#e8e8e8", zerolinecolor: DARK ? "#4a4f54" : "#d0d0d0", linecolor: "#777", ticks: "outside", tickcolor: "#777",
  automargin: true };

const TITLE_FONT = { size: 13 };

// A colour of the palette; black is replaced on a dark page, where it cannot be seen.
function inkOf(color) {
  return DARK && color === "#000000" ? "#ffffff" : color;
}

function runStyle(index) {
  return { color: inkOf(DATA.palette[index % DATA.palette.length]), dash: DASHES[index % DASHES.length],
    symbol: SYMBOLS[index % SYMBOLS.length] };
}

// A layout of panels, `columns` to a row at most; panel i has the axes x{i} and y{i}.
function panels(titles, xTitle, yTitle, settings = {}) {
  const columns = Math.min(titles.length, settings.columns || 4);
  const rows = Math.ceil(titles.length / columns);
  const layout = {
    height: (settings.height || 340) * rows + 40,
    margin: { l: 60, r: 15, t: titles.length > 1 ? 54 : 34, b: 45 },
    font: { family: "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", size: 13, color: INK },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "#8c8c8c", activecolor: INK },
    showlegend: false,
    annotations: [],
  };
  const [gapX, gapY] = [columns > 1 ? 0.06 : 0, rows > 1 ? 0.45 / (rows + 1) : 0];
  const [width, height] = [(1 - gapX * (columns - 1)) / columns, (1 - gapY * (rows - 1)) / rows];
  titles.forEach((title, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    const [left, top] = [column * (width + gapX), 1 - row * (height + gapY)];
    const name = axisName(index);
    const below = index + columns >= titles.length;
    layout[`xaxis${name}`] = { ...AXIS, ...settings.x, domain: [left, left + width], anchor: `y${name}`,
      title: { text: below ? xTitle : "", font: TITLE_FONT } };
    layout[`yaxis${name}`] = { ...AXIS, ...settings.y, domain: [Math.max(0, top - height), top], anchor: `x${name}`,
      title: { text: column ? "" : yTitle, font: TITLE_FONT } };
    if (settings.sameY && index) layout[`yaxis${name}`].matches = "y";
    layout.annotations.push({ text: title, x: left + width / 2, y: top, xref: "paper", yref: "paper", xanchor: "center",
      yanchor: "bottom", showarrow: false });
  });
  return layout;
}

function axisName(index) {
  return index ? String(index + 1) : "";
}

function draw(id, traces, layout) {
  return Plotly.react(id, traces, layout, PLOTLY);
}

function fillSelect(select, names, words = (name) => name) {
  select.replaceChildren(...names.map((name, index) => new Option(words(name, index), name)));
  select.parentElement.hidden = names.length === 0;
}
