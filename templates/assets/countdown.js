// Adds the time left beside a deadline that the page already states in words.
// The server's clock counts (data-now), not the visitor's, which may be wrong or set to another day.
const dayMs = 86_400_000;
const hourMs = 3_600_000;
const minuteMs = 60_000;

function timeLeft(leftMs) {
  const days = Math.floor(leftMs / dayMs);
  const hours = Math.floor((leftMs % dayMs) / hourMs);
  const minutes = Math.floor((leftMs % hourMs) / minuteMs);
  if (days > 0) return `${days} d ${hours} h left`;
  if (hours > 0) return `${hours} h ${minutes} min left`;
  return `${Math.max(minutes, 1)} min left`;
}

for (const place of document.querySelectorAll('[data-deadline]')) {
  const deadline = Date.parse(place.dataset.deadline);
  const serverNow = Date.parse(place.dataset.now ?? '');
  const startedAt = performance.now();
  const offset = Number.isNaN(serverNow) ? Date.now() : serverNow;
  const show = () => {
    const leftMs = deadline - (offset + performance.now() - startedAt);
    place.hidden = !(leftMs > 0);
    place.textContent = leftMs > 0 ? timeLeft(leftMs) : '';
  };
  show();
  setInterval(show, minuteMs / 2);
}
