// Correlation of every pair of nodes of one layer, at one epoch, in one seed.

const ORANGE_TO_BLUE = [[0, "#8c3d00"], [0.25, "#d55e00"], [0.5, "#ffffff"], [0.75, "#4b9fd0"], [1, "#003f66"]];

function drawPairs(pairs, epoch, seed) {
  const hint = document.getElementById("pairs-hint");
  const figure = document.getElementById("pairs");
  document.getElementById("pair-controls").hidden = Boolean(pairs.missing) || pairs.layers.length < 2;
  figure.hidden = Boolean(pairs.missing);
  if (pairs.missing) {
    hint.textContent = `Not drawn: ${pairs.missing}`;
    return;
  }
  const seedIndex = Math.max(0, pairs.seeds.indexOf(seed));
  const epochIndex = nearest(pairs.epochs, epoch);
  const layer = pairs.layers[Number(document.getElementById("pair-layer").value) || 0];
  const order = studentOrder(pairs, layer, seedIndex);
  const rows = correlations(pairs, layer, epochIndex, seedIndex);
  const layout = panels([""], "student node, sorted by its best teacher at the last epoch", "teacher node",
    { height: 380, x: { type: "category", showgrid: false, tickangle: 0 },
      y: { type: "category", autorange: "reversed", showgrid: false } });
  draw("pairs", [{ type: "heatmap", x: order.map((index) => String(layer.students[index])), y: layer.teachers.map(String),
    z: rows.map((row) => order.map((index) => row[index])), zmin: -1, zmax: 1, colorscale: ORANGE_TO_BLUE,
    colorbar: { title: { text: "ρ" }, thickness: 14 }, hoverongaps: false,
    hovertemplate: "teacher node %{y}, student node %{x}<br>ρ = %{z:.4f}<extra></extra>" }], layout);
  hint.textContent = `Epoch ${pairs.epochs[epochIndex]}, seed ${pairs.seeds[seedIndex]}. ${keptWords(pairs)}`;
}

// One row of correlations for each teacher node.
function correlations(pairs, layer, epochIndex, seedIndex) {
  const [teachers, students] = [layer.teachers.length, layer.students.length];
  const start = (epochIndex * pairs.seeds.length + seedIndex) * teachers * students;
  return layer.teachers.map((_, row) => numbersFrom(layer.correlation, start + row * students, students));
}

// The order of the students: sorted by their best teacher node, then by their correlation with it, highest first.
function studentOrder(pairs, layer, seedIndex) {
  const rows = correlations(pairs, layer, pairs.epochs.length - 1, seedIndex);
  const best = layer.students.map((_, index) => {
    let teacher = 0;
    rows.forEach((row, place) => { if (row[index] > rows[teacher][index]) teacher = place; });
    return { index, teacher, correlation: rows[teacher][index] };
  });
  best.sort((a, b) => a.teacher - b.teacher || b.correlation - a.correlation || a.index - b.index);
  return best.map((student) => student.index);
}

// A sentence on what was left out to keep the file small; empty if nothing was.
function keptWords(kept) {
  const words = [];
  if (kept.epochs.length < kept.recorded) words.push(`${kept.epochs.length} of ${kept.recorded} recorded epochs`);
  if (kept.seeds.length < kept.replicates) words.push(`${kept.seeds.length} of ${kept.replicates} seeds`);
  return words.length ? `To keep this file small, it holds only ${words.join(" and ")}; the records hold all.` : "";
}
