// Student nodes of one run at one epoch, a panel for each layer, and how many seeds recovered each teacher node.

function drawNodes(nodes, epochIndex, seedIndex) {
  const several = nodes.layers.length > 1;
  const titles = nodes.layers.map((layer) => (several ? `layer ${layer.layer}` : ""));
  const lowest = Math.min(-0.02, ...nodes.layers.map((layer) => least(unpack(layer.students.correlation))));
  const layout = panels(titles, "best correlation ρ*", several ? "strength √E β" : "strength ‖v‖",
    { x: { range: [lowest, 1.03] }, y: { rangemode: "tozero" } });
  nodes.layers.forEach((layer, index) => {
    layout[`yaxis${axisName(index)}`].range = [0, 1.06 * greatest(unpack(layer.students.strength)) || 1];
  });
  draw("l-shape", nodes.layers.map((layer, index) => studentTrace(nodes, layer.students, index, epochIndex, seedIndex)), layout);
  drawRecovery(nodes, titles, epochIndex);
}

function studentTrace(nodes, students, panel, epochIndex, seedIndex) {
  const count = students.nodes.length;
  const seeds = seedIndex === null ? nodes.seeds.map((_, index) => index) : [seedIndex];
  const [x, y, color, customdata] = [[], [], [], []];
  seeds.forEach((seed) => {
    const start = (epochIndex * nodes.seeds.length + seed) * count;
    const teachers = numbersFrom(students.teacher, start, count);
    x.push(...numbersFrom(students.correlation, start, count));
    y.push(...numbersFrom(students.strength, start, count));
    students.nodes.forEach((node, index) => {
      color.push(seed);
      customdata.push([node, nodes.seeds[seed], teachers[index]]);
    });
  });
  const scale = DATA.sequence.map((shade, index) => [index / (DATA.sequence.length - 1), shade]);
  return { x, y, customdata, mode: "markers", xaxis: `x${axisName(panel)}`, yaxis: `y${axisName(panel)}`,
    cliponaxis: false,
    marker: { color, colorscale: scale, cmin: 0, cmax: Math.max(1, nodes.seeds.length - 1), size: 6, opacity: 0.75,
      showscale: panel === nodes.layers.length - 1 && nodes.seeds.length > 1 && seedIndex === null,
      colorbar: { title: { text: "seed" }, thickness: 10, tickvals: [0, nodes.seeds.length - 1],
        ticktext: [nodes.seeds[0], nodes.seeds[nodes.seeds.length - 1]].map(String) } },
    hovertemplate: "student node %{customdata[0]}, seed %{customdata[1]}<br>best teacher node %{customdata[2]}: "
      + "ρ* = %{x:.4f}<br>strength %{y:.4g}<extra></extra>" };
}

function drawRecovery(nodes, titles, epochIndex) {
  const figure = document.getElementById("recovery");
  figure.hidden = nodes.layers.some((layer) => !layer.teachers);
  if (figure.hidden) return;
  const layout = panels(titles, "teacher node, strongest first", "share with ρ* > 0.95",
    { height: 240, x: { type: "category", showgrid: false, tickangle: 0, tickfont: { size: 11 } }, y: { range: [0, 1.03] } });
  const traces = nodes.layers.map((layer, index) => {
    const { nodes: numbers, correlation, recovered, strength } = layer.teachers;
    const start = epochIndex * numbers.length;
    const [rho, size] = [correlation, strength].map((packed) => numbersFrom(packed, start, numbers.length));
    return { x: numbers.map(String), y: numbersFrom(recovered, start, numbers.length), type: "bar",
      xaxis: `x${axisName(index)}`, yaxis: `y${axisName(index)}`, marker: { color: DATA.palette[0] },
      customdata: rho.map((value, place) => [value, size[place]]),
      hovertemplate: "teacher node %{x}<br>recovered by %{y:.0%} of seeds<br>mean ρ* = %{customdata[0]:.4f}"
        + "<br>mean strength %{customdata[1]:.4g}<extra></extra>" };
  });
  draw("recovery", traces, layout);
}

function least(numbers) {
  return numbers.reduce((best, value) => (value < best ? value : best), Infinity);
}

function greatest(numbers) {
  return numbers.reduce((best, value) => (value > best ? value : best), -Infinity);
}
