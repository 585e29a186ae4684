// Reached against granted ε of every teacher node and seed: grey paths over the epochs, and marks at the chosen epoch.

const OUTCOME_MARKS = [
  { symbol: "circle", color: "#999999" },
  { symbol: "circle", color: 0 },
  { symbol: "circle-open", color: 0 },
  { symbol: "x", color: 1 },
];

function drawCertificate(certificate, epoch, seedIndex) {
  document.getElementById("certificate-part").hidden = !certificate;
  if (!certificate) return;
  const epochIndex = nearest(certificate.epochs, epoch);
  const [granted, reached, outcome] = [certificate.granted, certificate.reached, certificate.outcome].map(unpack);
  const layout = panels([""], "log₁₀ granted ε", "log₁₀ reached ε", { height: 380 });
  layout.showlegend = true;
  layout.height += 60;
  layout.margin.b += 60;
  layout.legend = { orientation: "h", x: 0, xanchor: "left", y: 0, yanchor: "bottom", yref: "container" };
  layout.shapes = guides(granted, reached);
  draw("certificate", [pathTrace(certificate, seedIndex, granted, reached),
    ...OUTCOME_MARKS.map((_, kind) => markTrace(certificate, kind, epochIndex, seedIndex, granted, reached, outcome))], layout);
  const counts = certificate.counts.map((count, kind) => `${count} ${certificate.outcomes[kind]}`);
  const found = counts.filter((_, kind) => certificate.counts[kind]);
  document.getElementById("certificate-hint").textContent = `Epoch ${certificate.epochs[epochIndex]}. The condition `
    + "(granted ε < 1) holds left of the dotted line, the conclusion below the dashed diagonal. Of all seeds and teacher "
    + `nodes at the last epoch: ${found.join(", ")}. ${keptWords(certificate)}`;
}

// Calls `visit(place in the arrays, seed, node)` for each seed and node at an epoch.
function eachNode(certificate, epochIndex, seedIndex, visit) {
  certificate.seeds.forEach((seed, place) => {
    if (seedIndex !== null && place !== seedIndex) return;
    certificate.nodes.forEach((node, index) => {
      visit((epochIndex * certificate.seeds.length + place) * certificate.nodes.length + index, seed, node);
    });
  });
}

function pathTrace(certificate, seedIndex, granted, reached) {
  const [x, y] = [[], []];
  const step = certificate.seeds.length * certificate.nodes.length;
  eachNode(certificate, 0, seedIndex, (place) => {
    certificate.epochs.forEach((_, epoch) => {
      const [a, b] = [granted[place + epoch * step], reached[place + epoch * step]];
      x.push(Number.isNaN(a) ? null : a);
      y.push(Number.isNaN(b) ? null : b);
    });
    x.push(null);
    y.push(null);
  });
  return { x, y, mode: "lines", name: "over all epochs", line: { color: "#bbbbbb", width: 1 }, hoverinfo: "skip" };
}

function markTrace(certificate, kind, epochIndex, seedIndex, granted, reached, outcome) {
  const [x, y, customdata] = [[], [], []];
  eachNode(certificate, epochIndex, seedIndex, (place, seed, node) => {
    if (outcome[place] !== kind || Number.isNaN(granted[place] + reached[place])) return;
    x.push(granted[place]);
    y.push(reached[place]);
    customdata.push([node, seed, 10 ** granted[place], 10 ** reached[place]]);
  });
  const mark = OUTCOME_MARKS[kind];
  const color = typeof mark.color === "number" ? DATA.palette[mark.color] : mark.color;
  return { x, y, customdata, mode: "markers", name: certificate.outcomes[kind], showlegend: x.length > 0,
    marker: { symbol: mark.symbol, size: 8, color },
    hovertemplate: "teacher node %{customdata[0]}, seed %{customdata[1]}<br>granted ε %{customdata[2]:.3g}"
      + `<br>reached ε %{customdata[3]:.3g}<br>${certificate.outcomes[kind]}<extra></extra>` };
}

function guides(granted, reached) {
  const all = [...granted, ...reached].filter((value) => !Number.isNaN(value));
  const [low, high] = [Math.min(-1, least(all)), Math.max(1, greatest(all))];
  const line = (dash) => ({ color: INK, width: 1, dash });
  return [
    { type: "line", x0: 0, x1: 0, y0: 0, y1: 1, yref: "paper", line: line("dot") },
    { type: "line", x0: low, y0: low, x1: high, y1: high, line: line("dash") },
  ];
}
