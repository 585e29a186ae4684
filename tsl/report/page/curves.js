// Losses, and measures of whole layers, over epochs: a curve for each run, or for each setting inside a run.

const FEW_CURVES = 8; // up to this many have a legend and bands, because more bands would hide each other

function setUpCurves() {
  const losses = columnNames(DATA.groups.map((run) => run.losses));
  losses.sort((a, b) => (b === "val_mse") - (a === "val_mse"));
  fillSelect(document.getElementById("loss-measure"), losses, inWords);
  const layers = columnNames(DATA.groups.flatMap((run) => run.layers)).filter((name) => !name.endsWith("_null"));
  fillSelect(document.getElementById("layer-measure"), layers, inWords);
  document.getElementById("curve-hint").textContent = DATA.groups.length > FEW_CURVES
    ? "Mean over replicates. Point at a curve to see its name; the run chosen in the table has a thick curve."
    : "Mean over replicates; the band reaches from the least to the greatest replicate.";
}

function inWords(name) {
  return DATA.words[name] || name;
}

function columnNames(curves) {
  return [...new Set(curves.flatMap((curve) => Object.keys(curve.columns)))];
}

function drawCurves(chosen) {
  const loss = document.getElementById("loss-measure").value;
  const curves = DATA.groups.map((run) => [run.losses]);
  if (loss) {
    const layout = panels([""], "epoch", inWords(loss), { height: 320, y: lossAxis(loss) });
    draw("losses", curveTraces(curves, loss, chosen), withLegend(layout));
  }
  const measure = document.getElementById("layer-measure").value;
  if (measure) {
    const numbers = [...new Set(DATA.groups.flatMap((run) => run.layers.map((curve) => curve.layer)))].sort((a, b) => a - b);
    const byLayer = DATA.groups.map((run) => numbers.map((layer) => run.layers.find((curve) => curve.layer === layer)));
    const titles = numbers.map((layer) => (numbers.length > 1 ? `layer ${layer}` : ""));
    const layout = panels(titles, "epoch", inWords(measure), { height: numbers.length > 4 ? 220 : 320, sameY: true });
    draw("layers", curveTraces(byLayer, measure, chosen), withLegend(layout));
    const nulls = byLayer.some((layers) => layers.some((curve) => curve && curve.columns[`${measure}_null`]));
    document.getElementById("layers-hint").hidden = !nulls;
  }
}

// Losses on a logarithmic scale, with fewer labels the more powers of ten there are; shares on a linear one.
function lossAxis(loss) {
  if (/accuracy|agreement/.test(loss)) return {};
  const curves = DATA.groups.flatMap((run) => run.losses.columns[loss] || []);
  const positive = curves.flatMap((curve) => [...unpack(curve.low), ...unpack(curve.high)]).filter((value) => value > 0);
  const powers = Math.log10(greatest(positive) / least(positive));
  return { type: "log", exponentformat: "power", ...(powers > 1.5 ? { dtick: Math.ceil(powers / 8) } : { dtick: "D2" }) };
}

function withLegend(layout) {
  if (DATA.groups.length > 1 && DATA.groups.length <= FEW_CURVES) {
    layout.showlegend = true;
    // The legend is below the panels, so that it covers neither the curves nor the toolbar.
    const width = DATA.groups.reduce((sum, group) => sum + 60 + 7.5 * group.name.length, 0);
    const longest = Math.max(...DATA.groups.map((group) => 60 + 7.5 * group.name.length));
    const columns = Math.max(1, Math.floor(document.getElementById("losses").clientWidth / longest));
    const rows = width <= document.getElementById("losses").clientWidth ? 1 : Math.ceil(DATA.groups.length / columns);
    layout.height += 22 * rows;
    layout.margin.b += 22 * rows + 8;
    layout.legend = { orientation: "h", x: 0, xanchor: "left", y: 0, yanchor: "bottom", yref: "container" };
  }
  return layout;
}

// A curve of each run in each panel; `curves` has a row for each run, which has a curve or nothing for each panel.
function curveTraces(curves, column, chosen) {
  const traces = [];
  curves.forEach((row, run) => {
    let first = true;
    row.forEach((curve, panel) => {
      const values = curve && curve.columns[column];
      if (!values) return;
      const x = Array.from(unpack(curve.epochs));
      const axes = { xaxis: `x${axisName(panel)}`, yaxis: `y${axisName(panel)}`, legendgroup: String(run) };
      if (curves.length <= FEW_CURVES) traces.push({ ...bandTrace(x, values, run), ...axes });
      traces.push({ ...curveTrace(x, values, run, run === chosen, curves.length), ...axes, showlegend: first });
      const shuffled = curve.columns[`${column}_null`];
      if (shuffled && (curves.length <= FEW_CURVES || run === chosen)) traces.push({ ...nullTrace(x, shuffled, run), ...axes });
      first = false;
    });
  });
  return traces;
}

function curveTrace(x, values, run, isChosen, runs) {
  const style = runStyle(run);
  const [low, high] = [unpack(values.low), unpack(values.high)];
  const customdata = x.map((_, index) => [low[index], high[index]]);
  return { x, y: Array.from(unpack(values.mean)), customdata, name: DATA.groups[run].name, mode: runs <= FEW_CURVES ? "lines+markers" : "lines",
    opacity: isChosen || runs <= FEW_CURVES ? 1 : 0.5,
    line: { color: style.color, dash: style.dash, width: isChosen && runs > 1 ? 3 : 1.5 },
    marker: { symbol: style.symbol, size: 6, maxdisplayed: 8 },
    hovertemplate: `${escapeHtml(DATA.groups[run].name)}<br>epoch %{x}: %{y:.4g}`
      + "<br>replicates %{customdata[0]:.4g} to %{customdata[1]:.4g}<extra></extra>" };
}

function bandTrace(x, values, run) {
  const y = [...unpack(values.high), ...Array.from(unpack(values.low)).reverse()];
  return { x: [...x, ...[...x].reverse()], y, fill: "toself", fillcolor: `${runStyle(run).color}22`,
    line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false };
}

function nullTrace(x, values, run) {
  return { x, y: Array.from(unpack(values.mean)), mode: "lines", showlegend: false,
    line: { color: runStyle(run).color, dash: "dot", width: 1 },
    hovertemplate: `${escapeHtml(DATA.groups[run].name)}<br>null level at epoch %{x}: %{y:.4g}<extra></extra>` };
}

function escapeHtml(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
