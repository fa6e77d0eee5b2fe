// Makes the text boxes of a funnel easier to write in: numbers of lines, the tab key, a way from a finding to its line, and
// a word before typed text is left. Without it everything works.
const LINE = '\n';

function numbered(area) {
  const gutter = document.createElement('div');
  gutter.className = 'code-lines';
  gutter.setAttribute('aria-hidden', 'true');
  area.before(gutter);
  area.parentElement.classList.add('code-numbered');
  const marks = new Map();
  if (area.id === 'yaml')
    for (const { dataset } of document.querySelectorAll('[data-line]'))
      if (marks.get(dataset.line) !== 'error') marks.set(dataset.line, dataset.severity);
  let shown = 0;
  const draw = () => {
    const count = area.value.split(LINE).length;
    if (count !== shown) {
      shown = count;
      gutter.replaceChildren(
        ...Array.from({ length: count }, (_, index) => {
          const line = document.createElement('span');
          line.textContent = String(index + 1);
          const mark = marks.get(String(index + 1));
          if (mark) line.className = `code-${mark}`;
          return line;
        }),
      );
    }
    gutter.scrollTop = area.scrollTop;
  };
  area.addEventListener('input', draw);
  area.addEventListener('scroll', () => (gutter.scrollTop = area.scrollTop), { passive: true });
  draw();
}

function goTo(area, line) {
  const lines = area.value.split(LINE);
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  area.focus({ preventScroll: true });
  area.setSelectionRange(start, start + (lines[line - 1] ?? '').length);
  const height = area.scrollHeight / lines.length;
  area.scrollTop = Math.max((line - 1) * height - area.clientHeight / 3, 0);
  area.scrollLeft = 0;
  area.scrollIntoView({ block: 'nearest' });
}

for (const area of document.querySelectorAll('textarea.code')) {
  numbered(area);
  // After Escape the tab key leaves the box again, for who has no mouse.
  let leaves = false;
  area.addEventListener('keydown', (event) => {
    if (event.key !== 'Tab' || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey || leaves) {
      if (event.key !== 'Shift') leaves = event.key === 'Escape';
      return;
    }
    event.preventDefault();
    // The one way that keeps what can be undone.
    document.execCommand('insertText', false, '  ');
  });
  area.addEventListener('blur', () => (leaves = false));
}

for (const link of document.querySelectorAll('[data-to-line]'))
  link.addEventListener('click', (event) => {
    event.preventDefault();
    goTo(document.getElementById('yaml'), Number(link.dataset.toLine));
  });

for (const form of document.querySelectorAll('form[data-unsaved]')) {
  // A page that comes back from a check holds text that is kept nowhere.
  let isTyped = document.querySelector('[name=token], [data-line], .simulation') !== null;
  let isSent = false;
  form.addEventListener('input', () => (isTyped = true));
  form.addEventListener('submit', ({ submitter }) => (isSent = submitter?.formTarget !== '_blank'));
  addEventListener('beforeunload', (event) => {
    if (isTyped && !isSent) event.preventDefault();
  });
}
