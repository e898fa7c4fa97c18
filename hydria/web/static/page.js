// Brings the page up to date again and again, without loading it anew. What is open stays open, what has the focus keeps it.
"use strict";

const content = document.getElementById("content");
const news = document.getElementById("news");
const pause = Math.max(0.5, Number(content.dataset.interval)) * 1000;
let lost = false;

function focused() {
  const element = document.activeElement;
  if (!element || !content.contains(element)) return null;
  const details = element.closest("details[id]");
  return details && element.matches("summary") ? details.id : null;
}

function show(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const details of fresh.querySelectorAll("details[id]")) {
    const old = document.getElementById(details.id);
    if (old) details.open = old.open;
  }
  const kept = focused();
  const scrolled = new Map();
  content.querySelectorAll(".wide").forEach((box, place) => scrolled.set(place, box.scrollLeft));
  content.replaceChildren(...fresh.body.childNodes);
  content.querySelectorAll(".wide").forEach((box, place) => { box.scrollLeft = scrolled.get(place) || 0; });
  if (kept) document.getElementById(kept)?.querySelector("summary").focus({ preventScroll: true });
}

function tell(isLost) {
  if (isLost === lost) return;
  lost = isLost;
  document.documentElement.classList.toggle("lost", lost);
  news.textContent = lost ? "Hydria does not answer: what is below is old." : "";
}

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/parts", { cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.text());
      content.dataset.refreshed = String(Number(content.dataset.refreshed || 0) + 1);
      tell(false);
    } catch {
      tell(true);
    }
  }
  setTimeout(refresh, pause);
}

setTimeout(refresh, pause);
