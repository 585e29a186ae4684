"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const unpacked = new WeakMap();

// The numbers of an array of tsl/report/packing.py; NaN stays NaN.
function unpack(packed) {
  if (unpacked.has(packed)) return unpacked.get(packed);
  const text = atob(packed.bytes);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  let numbers;
  if (packed.kind === "float32") numbers = new Float32Array(bytes.buffer);
  else if (packed.kind === "uint16") numbers = new Uint16Array(bytes.buffer);
  else numbers = Float32Array.from(new Int16Array(bytes.buffer), (step) => (step === -32768 ? NaN : step / 32767));
  unpacked.set(packed, numbers);
  return numbers;
}

function numbersFrom(packed, start, count) {
  return Array.from(unpack(packed).subarray(start, start + count));
}

// The index of the epoch nearest to a given one.
function nearest(epochs, epoch) {
  let best = 0;
  epochs.forEach((value, index) => {
    if (Math.abs(value - epoch) < Math.abs(epochs[best] - epoch)) best = index;
  });
  return best;
}
