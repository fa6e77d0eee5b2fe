/** A mail as its owner writes it: plain text with a few signs, dressed as the mails of the folder `templates` are. */
export interface WrittenMail {
  /** Its template key, `written/sunday-news`. */
  key: string;
  subject: string;
  /** What mail programs show behind the subject. */
  preview: string;
  body: string;
}

export const WRITTEN = 'written/';
const LINK = /\[([^\]\n]{1,200})\]\(((?:https?:\/\/|mailto:|\{\{)[^)\s]*(?:\s*[^)\s]+\s*\}\})?)\)/;
const LIQUID = /(\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\})/;

/**
 * Blocks have an empty line between them: `# ` begins a heading, `- ` a list, a link alone is a button, the rest is
 * paragraphs. Within them `**bold**`, `*italic*` and `[words](https://…)`. Variables stay as they are.
 */
export function mjmlOfWritten({ subject, preview, body }: Omit<WrittenMail, 'key'>): string {
  const blocks = body
    .replaceAll('\r\n', '\n')
    .split(/\n[ \t]*\n+/)
    .map((block) => block.trim())
    .filter((block) => block !== '');
  return mailFrame({
    subject: escaped(subject),
    preview: escaped(preview),
    content: blocks.map(blockOf).join('\n'),
  });
}

/** A mail of the usual look, as MJML; all three are taken as they are. */
export function mailFrame({
  subject,
  preview,
  content,
}: {
  subject: string;
  preview: string;
  content: string;
}): string {
  return `<mjml lang="en" dir="ltr">
  <mj-head>
    <mj-title>${subject}</mj-title>
    <mj-preview>${preview}</mj-preview>
    <mj-include path="../layouts/mail-head.mjml" />
  </mj-head>
  <mj-body background-color="#f4f8f7" css-class="page">
    <mj-include path="../layouts/mail-top.mjml" />
    <mj-wrapper background-color="#ffffff" border-radius="12px" padding="0 0 24px" css-class="card">
      <mj-section>
        <mj-column>
${content}
        </mj-column>
      </mj-section>
    </mj-wrapper>
    <mj-include path="../layouts/mail-foot-marketing.mjml" />
  </mj-body>
</mjml>
`;
}

function blockOf(block: string): string {
  const heading = /^#+ +(.+)$/.exec(block)?.[1];
  if (heading !== undefined) return `<mj-text mj-class="heading"><h2>${inline(heading)}</h2></mj-text>`;
  const button = new RegExp(`^${LINK.source}$`).exec(block);
  if (button)
    return `<mj-button href="${attribute(button[2] ?? '')}">${escaped(button[1] ?? '')}</mj-button>`;
  const lines = block.split('\n').map((line) => line.trim());
  if (lines.every((line) => line.startsWith('- ')))
    return `<mj-text><ul>${lines.map((line) => `<li>${inline(line.slice(2))}</li>`).join('')}</ul></mj-text>`;
  return `<mj-text><p>${lines.map(inline).join('<br />')}</p></mj-text>`;
}

function inline(text: string): string {
  const link = LINK.exec(text);
  if (link) {
    const [all, words = '', url = ''] = link;
    const before = text.slice(0, link.index);
    const after = text.slice(link.index + all.length);
    return `${inline(before)}<a href="${attribute(url)}">${emphasised(words)}</a>${inline(after)}`;
  }
  return emphasised(text);
}

function emphasised(text: string): string {
  return escaped(text)
    .replace(/\*\*([^*\n]+)\*\*/g, '<strong>$1</strong>')
    .replace(/\*([^*\n]+)\*/g, '<em>$1</em>');
}

/** Of what stands between variables. */
function escaped(text: string): string {
  return text
    .split(LIQUID)
    .map((part, place) =>
      place % 2 === 1 ? part : part.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    )
    .join('');
}

function attribute(url: string): string {
  return escaped(url).replaceAll('"', '&quot;');
}
