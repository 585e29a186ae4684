// The choices of the reader, and the figures that are drawn again when they change.

const chosen = { run: 0, epoch: 0, seed: null };
const byId = (id) => document.getElementById(id);
let timer = null;

function chooseRun(run) {
  chosen.run = run;
  const { nodes, pairs } = DATA.groups[run];
  byId("run").value = String(run);
  markChosen(byId("outcome"), run);
  const epochs = nodes.epochs || [0];
  byId("epoch").max = epochs.length - 1;
  byId("epoch").value = epochs.length - 1;
  byId("epoch").disabled = byId("play").disabled = epochs.length < 2;
  fillSelect(byId("seed"), nodes.seeds ? ["all", ...nodes.seeds] : [], String);
  fillSelect(byId("pair-layer"), (pairs.layers || []).map((_, index) => index), (index) => pairs.layers[index].layer);
  byId("nodes-hint").textContent = nodes.missing ? `Not drawn: ${nodes.missing}` : keptWords(nodes);
  ["l-shape", "recovery"].forEach((id) => { byId(id).hidden = Boolean(nodes.missing); });
  drawCurves(run);
  drawRun();
}

function drawRun() {
  const { nodes, pairs, certificate } = DATA.groups[chosen.run];
  const index = Number(byId("epoch").value);
  const seed = byId("seed").value;
  const seedIndex = nodes.seeds && seed !== "all" ? nodes.seeds.indexOf(Number(seed)) : null;
  const epoch = nodes.epochs ? nodes.epochs[index] : Infinity;
  byId("epoch-words").textContent = nodes.epochs ? `${epoch} of ${nodes.epochs[nodes.epochs.length - 1]}` : "";
  byId("epoch").setAttribute("aria-valuetext", `epoch ${epoch}`);
  if (!nodes.missing) drawNodes(nodes, index, seedIndex);
  drawPairs(pairs, epoch, Number(seed));
  drawCertificate(certificate, epoch, seedIndex);
}

function play() {
  const slider = byId("epoch");
  if (timer !== null) return stop();
  if (Number(slider.value) === Number(slider.max)) slider.value = 0;
  byId("play").textContent = "Stop";
  timer = setInterval(() => {
    if (Number(slider.value) === Number(slider.max)) return stop();
    slider.value = Number(slider.value) + 1;
    drawRun();
  }, 400);
}

function stop() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "Play";
}

let waiting = false;
function drawRunSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    drawRun();
  });
}

setUpCurves();
makeSortable(byId("outcome"), chooseRun);
byId("run").replaceChildren(...DATA.groups.map((run, index) => new Option(run.name, index)));
byId("run").addEventListener("change", () => chooseRun(Number(byId("run").value)));
byId("epoch").addEventListener("input", drawRunSoon);
["seed", "pair-layer"].forEach((id) => byId(id).addEventListener("change", drawRun));
["loss-measure", "layer-measure"].forEach((id) => byId(id).addEventListener("change", () => drawCurves(chosen.run)));
byId("play").addEventListener("click", play);
chooseRun(0);
document.body.dataset.ready = "true";
performance.mark("ready");
