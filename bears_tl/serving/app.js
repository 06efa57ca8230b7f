"use strict";
const find = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const MAX_BYTES = Number(find("files").dataset.maxBytes); // the server refuses more, too
const waiting = []; // cards, one photo is sent at a time
let busy = false;

function say(text) { find("status").textContent = text; }

function add(files) {
  const newest = find("answers").firstElementChild;
  for (const file of files) {
    const card = find("card").content.firstElementChild.cloneNode(true);
    card.photo = file;
    card.querySelector(".file").textContent = file.name || "photo";
    card.querySelector(".verdict").textContent = "Waiting.";
    card.querySelector(".again").addEventListener("click", () => send(card));
    card.querySelector(".wrong").addEventListener("click", () => correct(card));
    find("answers").insertBefore(card, newest);
    find("none").hidden = true;
    send(card);
  }
}

function send(card) {
  card.querySelector(".again").hidden = true;
  card.classList.remove("failed");
  waiting.push(card);
  if (!busy) work();
}

async function work() {
  busy = true;
  let count = 0;
  for (let card = waiting.shift(); card; card = waiting.shift()) {
    say(`Reading photo ${++count} of ${count + waiting.length}.`);
    card.querySelector(".verdict").textContent = "Reading.";
    await answer(card);
  }
  busy = false;
}

async function ask(address, body, type) {
  let response;
  try {
    response = await fetch(address, { method: "POST", body, headers: { "Content-Type": type } });
  } catch {
    return { error: "The server does not answer: is it still running?", again: true };
  }
  try {
    return { ...(await response.json()), again: response.status === 503 };
  } catch {
    return { error: `The server answered with an error (${response.status}).`, again: true };
  }
}

async function answer(card) {
  const found = card.photo.size > MAX_BYTES
    ? { error: `The file is larger than ${MAX_BYTES / 1e6} MB: save the photo as a smaller JPEG.` }
    : await ask("answer", card.photo, "application/octet-stream");
  const name = card.querySelector(".file").textContent, verdict = card.querySelector(".verdict");
  if (found.error) {
    card.classList.add("failed");
    verdict.textContent = found.error[0].toUpperCase() + found.error.slice(1);
    card.querySelector(".again").hidden = !found.again;
    return say(`${name}: ${found.error}`);
  }
  card.photo = null; // the answer has its own picture
  card.found = found;
  show(card, found);
  say(`${name}: ${verdict.textContent}`);
}

function show(card, found) {
  const part = (name) => card.querySelector(`.${name}`);
  const best = `${found.predicted} ${percent(found.probabilities[0][1])}`;
  part("verdict").textContent = found.known ? best : `Not one of these: not like the training photos. Otherwise ${best}`;
  part("photo").src = found.photo;
  part("photo").alt = `your photo, its middle square`;
  part("map").src = found.map;
  part("map").alt = `class map: most for ${found.predicted} comes from ${found.place}`;
  part("map-text").textContent = `orange: for ${found.predicted}, blue: against`;
  for (const [name, share] of found.probabilities) row(part("found").querySelector("tbody"), name, share);
  if (found.rest !== null) row(part("found").querySelector("tbody"), "all others", found.rest);
  for (const alike of found.nearest) {
    const figure = document.createElement("figure"), text = document.createElement("figcaption");
    const image = document.createElement(alike.picture ? "img" : "p");
    if (alike.picture) {
      image.src = alike.picture;
      image.alt = `training photo: ${alike.class_name}`;
    } else image.textContent = "Its file is gone or was changed.";
    text.textContent = `${alike.class_name}, cosine ${alike.similarity.toFixed(2)}`;
    figure.append(image, text);
    part("nearest").append(figure);
  }
  part("alike").hidden = !found.nearest.length;
  label(card);
  part("found").hidden = false;
}

function row(body, name, share) {
  const line = body.insertRow(), head = document.createElement("th"), bar = document.createElement("meter");
  head.scope = "row";
  head.textContent = name;
  bar.value = share;
  bar.setAttribute("aria-hidden", "true"); // the number says the same
  line.append(head);
  line.insertCell().append(bar);
  line.insertCell().textContent = percent(share);
}

function label(card) {
  const { label: own, correctable } = card.found;
  card.querySelector(".wrong").hidden = !correctable;
  card.querySelector(".label").textContent = own
    ? `This is a photo of the run (${own.split || "in no split"}): ${own.path}. Its label is ${own.class_name}.`
      + (correctable ? "" : " Labels can be corrected only on the machine that serves this page.")
    : "This is not a photo of the run, so it has no label to correct, and it was not saved. "
      + "To learn from it, put it into the folder of its class and train again.";
}

function correct(card) {
  const dialog = find("correction"), to = find("to"), own = card.found.label;
  const sum = () => {
    const chosen = to.selectedOptions[0].text, same = chosen === own.class_name;
    find("confirm").disabled = same;
    find("correction-sum").textContent = same
      ? `Its label is ${chosen} already. If that is right, the answer is wrong and not the label: there is nothing to correct.`
      : `One row is added to the table of corrections: from ${own.class_name} to ${chosen}. `
        + "The photo stays where it is. The next training applies it.";
  };
  const names = [...to.options].map((option) => option.text);
  const guess = names.indexOf(card.found.predicted === own.class_name ? own.class_name : card.found.predicted);
  to.selectedIndex = Math.max(0, guess);
  find("why").value = "";
  find("correction-text").textContent = `The label of ${own.path} is ${own.class_name}.`;
  to.onchange = sum;
  sum();
  dialog.returnValue = "";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "add") return;
    const said = { sha256: card.found.sha256, to: Number(to.value), why: find("why").value };
    const done = await ask("correction", JSON.stringify(said), "application/json");
    if (!done.error) {
      card.found.label.class_name = done.to;
      label(card);
    }
    card.querySelector(".corrected").textContent = done.error
      ? `Not corrected: ${done.error}`
      : `Corrected from ${done.from} to ${done.to}. Train again to use it.`;
  };
  dialog.showModal();
}

async function camera() {
  let stream;
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    const why = {
      NotFoundError: "No camera was found",
      NotAllowedError: "The camera is not allowed for this page",
      NotReadableError: "The camera is used by another program",
      SecurityError: "Browsers allow the camera only on this machine itself or over https",
    }[error.name] || `The camera does not work (${error.name})`;
    return say(`${why}: choose a photo file instead.`);
  }
  const dialog = find("shot"), video = find("video");
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  video.srcObject = stream;
  dialog.returnValue = "";
  dialog.onclose = () => {
    const [width, height] = [video.videoWidth, video.videoHeight];
    if (dialog.returnValue !== "take" || !width) return stop();
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height }).getContext("2d").drawImage(video, 0, 0);
    stop();
    canvas.toBlob((blob) => add([new File([blob], "photo of the camera")]), "image/jpeg", 0.95);
  };
  dialog.showModal();
  video.play();
}

find("files").addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
find("camera").addEventListener("click", camera);
addEventListener("paste", (event) => add(event.clipboardData.files));
addEventListener("dragover", (event) => { event.preventDefault(); find("drop").classList.add("over"); });
addEventListener("dragleave", () => find("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  add(event.dataTransfer.files);
});
