// Runs inside the page and hands out what is wrong with it, in words. Read as text by browser.ts, since the pages'
// content policy lets no foreign script in.
(() => {
  const faults = [];
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) faults.push(`scrolls sideways: ${scrollWidth} px wide in ${clientWidth} px`);
  const headings = document.querySelectorAll('h1').length;
  if (headings !== 1) faults.push(`${headings} h1 elements`);
  if (document.documentElement.lang === '') faults.push('no language');
  if (document.title === '') faults.push('no title');
  for (const field of document.querySelectorAll('input, select, textarea')) {
    if (field.type === 'hidden') continue;
    const words = [...field.labels].map(({ textContent }) => textContent.trim()).join(' ');
    if (words === '' && !field.ariaLabel) faults.push(`field ${field.name} has no label`);
  }
  for (const element of document.querySelectorAll('a[href], button, iframe')) {
    const words = `${element.textContent}${element.ariaLabel ?? ''}${element.title}`.trim();
    if (words === '') faults.push(`${element.tagName.toLowerCase()} without words`);
  }
  for (const element of document.querySelectorAll('[aria-describedby]')) {
    for (const id of element.getAttribute('aria-describedby').split(/\s+/)) {
      if (document.getElementById(id) === null) faults.push(`nothing has the id ${id}`);
    }
  }
  return faults;
})();
