// Fills in how many people belong to a segment, once the page is there and while conditions are typed. Without it a
// button counts.
const countAll = async () => {
  // One after the other: each takes the database's processors, and the first lines are read first.
  for (const output of document.querySelectorAll('output[data-count]')) {
    const answer = await fetch(output.dataset.count).catch(() => null);
    const found = answer?.ok ? await answer.json().catch(() => null) : null;
    if (found) output.textContent = Number(found.count).toLocaleString('en');
  }
};
void countAll();

for (const form of document.querySelectorAll('form[data-count-form]')) {
  const output = form.querySelector('[data-count-output]');
  let timer = 0;
  let asked = 0;
  const count = async () => {
    const turn = (asked += 1);
    const answer = await fetch(form.dataset.countForm, {
      method: 'POST',
      body: new URLSearchParams(new FormData(form)),
    }).catch(() => null);
    const found = answer?.ok ? await answer.json() : null;
    // A slower answer to an earlier question must not replace that to a later one.
    if (turn !== asked) return;
    const people = Number(found?.count);
    output.textContent =
      found === null || found.count === null
        ? found?.problem || 'These conditions are not complete yet.'
        : `${people.toLocaleString('en')} ${people === 1 ? 'person belongs' : 'people belong'} to it now.`;
  };
  form.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(count, 400);
  });
}
