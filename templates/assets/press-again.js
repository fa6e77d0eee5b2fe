// What was typed could not be taken just now: it is sent again by itself, for some minutes, and not while somebody is typing. The
// page works without it, as the button stands there.
const place = document.querySelector('[data-press-again]');
const form = place.closest('form');
const key = `press-again ${location.pathname}`;
const tries = Number(sessionStorage.getItem(key)) + 1;

if (tries <= 5) {
  const seconds = Number(place.dataset.pressAgain);
  place.textContent = `It is sent again by itself in ${seconds} seconds; please leave the page open.`;
  const timer = setTimeout(() => {
    sessionStorage.setItem(key, String(tries));
    form.submit();
  }, seconds * 1000);
  form.addEventListener('input', () => {
    clearTimeout(timer);
    place.textContent = '';
  });
}
// Only of whoever presses themselves.
form.addEventListener('submit', () => sessionStorage.removeItem(key));
