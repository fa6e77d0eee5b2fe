import { splitByTags } from './liquid-tags.js';

/** A mail as its owner writes it: plain text with a few signs, dressed as the mails of the folder `templates` are. */
export interface WrittenMail {
  /** Its template key, `written/sunday-news`. */
  key: string;
  subject: string;
  /** What mail programs show behind the subject. */
  preview: string;
  body: string;
}

/** `id`: of one that is kept. */
export type WrittenSource = WrittenMail & { id?: string };

export const WRITTEN = 'written/';

type Words = Omit<WrittenMail, 'key'>;

/** What stands below a mail: with the way out, or, where somebody waits for the mail, the sender alone. */
export type MailFoot = 'marketing' | 'service';

/** Where something stands in the form that a mail was written in; `line` counts those of the body. */
interface WrittenPlace {
  field: keyof Words;
  line: number | null;
}

/** What a finding says of a mail of the web app in place of a file and a line of MJML that its owner never saw. */
export interface WrittenMailPlace {
  subject: string;
  field?: WrittenPlace['field'];
  line?: number;
  /** Where it is edited; of one that is kept. */
  edit?: string;
  /** In the subject that it is sent with in place of its own, which stands nowhere in its form. */
  ownSubject?: true;
}

/** Where something stands. */
export interface MailPlace {
  /** `templates/emails/welcome.mjml`, with the line where one can be named. */
  file?: string;
  line?: number;
  /** In place of both, for a mail of the web app. */
  mail?: WrittenMailPlace;
}

const LINK = /\[([^\]\n]{1,200})\]\(((?:https?:\/\/|mailto:|\{\{)[^)\s]*(?:\s*[^)\s]+\s*\}\})?)\)/;

/** An address that stands by itself; what ends the sentence around it is none of it. */
const ADDRESS = /https?:\/\/(?:\{\{[^{}]*\}\}|[^\s<>"{}])*(?:\{\{[^{}]*\}\}|[^\s<>"{}.,;:!?'’”»)\]*_])/;

const LINK_OR_ADDRESS = new RegExp(`${LINK.source}|${ADDRESS.source}`);

/**
 * Blocks have an empty line between them: `# ` begins a heading, `- ` a list, a link alone is a button, the rest is
 * paragraphs. Within them `**bold**`, `*italic*`, `[words](https://…)` and addresses as they are. Variables stay as they
 * are. A block is one line of the MJML.
 */
export function mjmlOfWritten({ subject, preview, body }: Words, foot: MailFoot = 'marketing'): string {
  return mailFrame({
    foot,
    subject: escaped(subject),
    preview: escaped(preview),
    content: blocksOf(body)
      .map(({ text }) => blockOf(text))
      .join('\n'),
  });
}

/** Each with the line of the body that it begins in. */
function blocksOf(body: string): { text: string; line: number }[] {
  let line = 1;
  return body
    .replaceAll('\r\n', '\n')
    .split(/(\n[ \t]*\n+)/)
    .flatMap((part) => {
      const text = part.trim();
      const begins = line + breaksIn(part.slice(0, part.length - part.trimStart().length));
      line += breaksIn(part);
      return text === '' ? [] : [{ text, line: begins }];
    });
}

function breaksIn(text: string): number {
  return text.split('\n').length - 1;
}

/** Where the owner wrote what stands in this line of {@link mjmlOfWritten}; null for the frame around it. */
export function placeInWritten({ subject, preview, body }: Words, mjmlLine: number): WrittenPlace | null {
  const lines = mailFrame({ subject, preview, content: '' }).split('\n');
  const title = lines.findIndex((line) => line.includes('<mj-title>')) + 1;
  const hint = title + breaksIn(subject) + 1;
  const content = lines.indexOf('') + 1;
  if (mjmlLine >= title && mjmlLine < hint) return { field: 'subject', line: null };
  if (mjmlLine >= hint && mjmlLine <= hint + breaksIn(preview)) return { field: 'preview', line: null };
  const block = blocksOf(body)[mjmlLine - content];
  return block ? { field: 'body', line: block.line } : null;
}

/** Where its owner finds it; `ownSubject` is what it was sent with in place of its own. */
export function writtenPlace(
  mail: WrittenSource,
  mjmlLine: number | null,
  ownSubject: string | null,
): WrittenMailPlace {
  const place = mjmlLine === null ? null : placeInWritten(mail, mjmlLine);
  if (ownSubject !== null && place?.field === 'subject') return ownSubjectOf(mail);
  return {
    subject: mail.subject,
    ...(place && { field: place.field }),
    ...(place && place.line !== null && { line: place.line }),
    ...(mail.id !== undefined && { edit: `/admin/mails/${mail.id}` }),
  };
}

export function ownSubjectOf({ subject }: WrittenSource): WrittenMailPlace {
  return { subject, ownSubject: true };
}

/** `line 3 of “The first frost”` */
export function placeInWords({ subject, field, line, ownSubject }: WrittenMailPlace): string {
  if (ownSubject) return 'the broadcast’s own subject';
  const name = `“${subject}”`;
  if (field === 'body') return line === undefined ? name : `line ${line} of ${name}`;
  return field === undefined ? name : `the ${field} of ${name}`;
}

/** A mail of the usual look, as MJML; all three are taken as they are. */
export function mailFrame({
  subject,
  preview,
  content,
  foot = 'marketing',
}: {
  subject: string;
  preview: string;
  content: string;
  foot?: MailFoot;
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
    <mj-include path="../layouts/mail-foot-${foot}.mjml" />
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
  const link = LINK_OR_ADDRESS.exec(text);
  if (link) {
    const [all, words, url = all] = link;
    const before = text.slice(0, link.index);
    const after = text.slice(link.index + all.length);
    return `${inline(before)}<a href="${attribute(url)}">${words === undefined ? escaped(all) : emphasised(words)}</a>${inline(after)}`;
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
  return splitByTags(text)
    .map((part, place) =>
      place % 2 === 1 ? part : part.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    )
    .join('');
}

function attribute(url: string): string {
  return escaped(url).replaceAll('"', '&quot;');
}
