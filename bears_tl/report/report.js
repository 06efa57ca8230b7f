"use strict";
const find = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)}%`;

for (const controls of document.querySelectorAll(".controls")) controls.hidden = false;
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

if (find("mistake-list")) {
  const list = find("mistake-list"), order = find("mistake-order"), chosen = find("mistake-class");
  const cards = [...list.children]; // the surest first, as written
  const names = new Set(cards.flatMap((card) => [card.dataset.class, card.dataset.predicted]));
  for (const name of [...names].sort()) chosen.add(new Option(name.length > 48 ? `${name.slice(0, 47)}…` : name, `=${name}`));
  const show = () => {
    const key = order.value, name = chosen.value.slice(1);
    const sorted = key === "confidence" ? cards : [...cards].sort((a, b) => a.dataset[key].localeCompare(b.dataset[key]));
    list.append(...sorted);
    for (const card of cards) {
      card.hidden = chosen.value !== "" && card.dataset.class !== name && card.dataset.predicted !== name;
    }
    find("mistake-count").textContent = `${cards.filter((card) => !card.hidden).length} shown`;
  };
  order.addEventListener("change", show);
  chosen.addEventListener("change", show);
  show();
}

if (find("threshold-data")) {
  const { confidence, right } = JSON.parse(find("threshold-data").textContent); // the highest probability first
  const show = () => {
    const threshold = Number(find("threshold").value);
    let count = 0, errors = 0;
    while (count < confidence.length && confidence[count] >= threshold) errors += 1 - right[count++];
    const accepted = count / confidence.length, error = count ? errors / count : 0;
    find("threshold-value").textContent = threshold.toFixed(2);
    find("accepted-bar").setAttribute("width", 100 * accepted);
    find("error-bar").setAttribute("width", 100 * error);
    find("accepted-text").textContent = `${percent(accepted)} of the photos: ${count} of ${confidence.length}`;
    find("error-text").textContent = count ? `${percent(error)} of the answers: ${errors} of ${count}` : "no answers";
  };
  find("threshold").addEventListener("input", show);
  show();
}
