// Shows what the server's file holds: an answer is marked when the server has saved it, not before.
"use strict";

const $ = (id) => document.getElementById(id);
const questions = ["relevance", "preference"];
const KEY = "diffagent study rater";
let rater = null;
let shown = null; // the pair that is on the page, as the server told it
let saving = Promise.resolve(); // answers go one after another, in the order of the clicks

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. What is marked is saved; try again.");
  }
  const said = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(said.error);
  return said;
}

async function plainly(work) {
  try {
    await work();
    $("problem").hidden = true;
  } catch (error) {
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  }
}

function only(id) {
  for (const part of ["start", "pair", "end"]) $(part).hidden = part !== id;
  $("who").hidden = id === "start";
}

async function join(name) {
  const said = await ask("/api/join", { rater: name });
  rater = said.rater;
  localStorage.setItem(KEY, rater);
  $("rater").textContent = `Rating as ${rater}.`;
  await go(said.next);
}

async function go(place) {
  if (place === null) {
    shown = null;
    only("end");
    $("again").focus();
    return;
  }
  const pair = await ask(`/api/pair?rater=${encodeURIComponent(rater)}&place=${place}`);
  for (const side of ["left", "right"]) {
    const address = `/api/picture?rater=${encodeURIComponent(rater)}&place=${place}&side=${side}`;
    document.querySelector(`.enlarge[data-side=${side}] img`).src = address;
  }
  only("pair");
  show(pair);
  scrollTo(0, 0);
  asked()?.querySelector("button").focus({ preventScroll: true, focusVisible: false });
}

function show(pair) {
  shown = pair;
  $("prompt").textContent = pair.prompt;
  $("progress").textContent = `Pair ${pair.place + 1} of ${pair.pairs}, ${pair.rated} rated`;
  for (const box of document.querySelectorAll(".question")) {
    const given = pair.given[box.dataset.question];
    for (const button of box.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.side === given));
    }
    box.classList.remove("asked");
  }
  asked()?.classList.add("asked");
  $("back").disabled = pair.place === 0;
  $("next").disabled = questions.some((question) => !pair.given[question]);
}

// the first question without an answer
function asked() {
  const open = shown && questions.find((question) => !shown.given[question]);
  return open ? document.querySelector(`[data-question=${open}]`) : null;
}

async function save(place, question, side) {
  await plainly(async () => {
    const pair = await ask("/api/rate", { rater, place, question, side });
    if (!shown || shown.place !== place) return; // the rater has gone on
    show(pair);
    if (!$("next").disabled) $("next").focus({ preventScroll: true });
  });
}

function rate(place, question, side) {
  saving = saving.then(() => save(place, question, side));
}

// what a key answers is known only when the answer before it is saved
function rateAsked(side) {
  saving = saving.then(() => {
    const open = asked();
    return open && save(shown.place, open.dataset.question, side);
  });
}

function next() {
  // waits for what is being saved, so that no pair is left behind half rated
  saving = saving.then(() => plainly(async () => {
    if (!shown || $("next").disabled) return;
    await go(shown.place + 1 < shown.pairs ? shown.place + 1 : shown.next);
  }));
}

function back() {
  saving = saving.then(() => plainly(async () => {
    if (shown && shown.place > 0) await go(shown.place - 1);
  }));
}

$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  plainly(() => join($("name").value));
});
for (const box of document.querySelectorAll(".question")) {
  for (const button of box.querySelectorAll("button")) {
    button.addEventListener("click", () => rate(shown.place, box.dataset.question, button.dataset.side));
  }
}
$("next").addEventListener("click", next);
$("back").addEventListener("click", back);
$("again").addEventListener("click", () => plainly(() => go(0)));
$("leave").addEventListener("click", () => {
  localStorage.removeItem(KEY);
  rater = shown = null;
  $("name").value = "";
  only("start");
  $("name").focus();
});
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    $("large").querySelector("img").src = button.querySelector("img").src;
    $("large").showModal();
  });
}
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !shown || $("large").open) return;
  const side = { 1: "left", 2: "tie", 3: "right" }[event.key];
  if (side) rateAsked(side);
  else if (event.key.toLowerCase() === "b") back();
  else if (event.key === "Enter" && !event.target.closest("button")) next();
});

const known = localStorage.getItem(KEY);
if (known) {
  plainly(() => join(known)).then(() => { if (!rater) only("start"); });
} else {
  only("start");
  $("name").focus();
}
