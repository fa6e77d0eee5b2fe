// Tells the server the visitor's time zone, so that mail arrives in their working day. The form works without it, and a
// zone that somebody has typed stays.
for (const field of document.querySelectorAll('input[data-time-zone]')) {
  if (field.value === '') field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? '';
}
