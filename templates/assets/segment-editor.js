// Adds, removes and reshapes conditions without leaving the page: the server draws the tree, as it does without this
// script, and the tree alone is put in its place.
for (const form of document.querySelectorAll('form.segment-form')) {
  const tree = form.querySelector('[data-segment-tree]');
  let asked = 0;

  const redraw = async (action, focus) => {
    const turn = (asked += 1);
    const body = new URLSearchParams(new FormData(form));
    body.set('action', action);
    // Not form.action: the buttons of that name hide it.
    const answer = await fetch(form.getAttribute('action'), { method: 'POST', body }).catch(() => null);
    // Signed out meanwhile: the page that asks to sign in has no tree, and the form goes there with what was typed.
    const text = answer?.ok ? await answer.text() : '';
    const drawn = new DOMParser().parseFromString(text, 'text/html').querySelector('[data-segment-tree]');
    if (turn !== asked) return true;
    if (drawn === null) return false;
    tree.replaceChildren(...drawn.childNodes);
    focus?.();
    form.dispatchEvent(new Event('input', { bubbles: true }));
    return true;
  };

  form.addEventListener('click', async (event) => {
    const button = event.target.closest('button[name=action]');
    const action = button?.value ?? '';
    if (!/^(add|group|remove):/.test(action)) return;
    event.preventDefault();
    const before = new Set([...tree.querySelectorAll('.condition')].map(({ id }) => id));
    const parent = action.replace(/^\w+:/, '').replace(/\.\d+$/, '');
    const done = await redraw(action, () => {
      const added = [...tree.querySelectorAll('.condition')].find(({ id }) => !before.has(id));
      const next = added?.querySelector('.condition-kind') ?? document.getElementById(`${parent}.match`);
      next?.focus();
    });
    if (!done) form.requestSubmit(button);
  });

  form.addEventListener('change', (event) => {
    const { id } = event.target;
    if (!event.target.matches('[data-shape]')) return;
    void redraw('shape', () => document.getElementById(id)?.focus());
  });

  // Enter in a field would press the first button there is, which adds or removes something.
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !event.target.matches('input')) return;
    event.preventDefault();
    form.querySelector('button[value=count]')?.click();
  });
}
