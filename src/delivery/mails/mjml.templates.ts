import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { Liquid } from 'liquidjs';
import { registerLiquidFilters } from '../../infra/http/liquid-filters.js';
import { DomainError } from '../../values/domain-error.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../../values/header-text.js';
import { LIMITS } from './liquid.templates.js';
import { lostPart, withBareLiquid } from './bare-parts.js';
import { CompiledMails, type SourceFile } from './compiled-mails.js';
import { foreignBraces, insteadOfTag } from './foreign-tags.js';
import { deceptiveLink } from './link-check.js';
import { textOfHtml } from './mail-text.js';
import { oddTag } from './open-tags.js';
import { withoutOutsideStyles, type OutsideSheet } from './outside-styles.js';
import { INCLUDE, includesOther, MAX_SOURCE_CHARS, unreadInclude, unusedPart } from './mjml-includes.js';

/** With its tags; mail programs show some 70. */
const MAX_SUBJECT_CHARS = 300;
const KEY = /^[a-z0-9-]+(\/[a-z0-9-]+)*$/;

/** The small pictures of a carousel; they are labels, and their links lead nowhere (M14). */
const THUMBNAIL = /<a\b[^<>]{0,1000}\bmj-carousel-thumbnail\b[^<>]{0,1000}>/g;

/** A mail with its variables still open: subject, HTML and text are Liquid. */
export interface MailTemplate {
  subject: string;
  html: string;
  text: string;
  /** What was left out of the HTML when it was compiled. */
  outside?: readonly OutsideSheet[];
}

/** A plan, its check and its application compile the same mails, one after the other. */
const compiled = new CompiledMails();

/** Checks only. Nothing is ever read from disk by a Liquid tag: `templates` replaces the file system. */
const checker = new Liquid({ strictFilters: true, ...LIMITS });
registerLiquidFilters(checker);

/**
 * Compiles `<folder>/<key>.mjml`. Includes must lie below `folder`: what a mail shows is read by strangers.
 * `ownSubject`, which may hold Liquid, takes the place of the one in the file. Throws `TEMPLATE_NOT_FOUND`, or
 * `TEMPLATE_INVALID` naming file, line and reason.
 */
export async function compileMail(
  folder: string,
  key: string,
  ownSubject: string | null = null,
): Promise<MailTemplate & { source: string }> {
  const path = join(folder, `${key}.mjml`);
  const ownFault = liquidFault(ownSubject ?? '');
  // In the file, at the line of the subject that it takes the place of, there is nothing wrong.
  if (ownFault)
    throw new DomainError('TEMPLATE_INVALID', `subject: “${ownSubject}”: ${ownFault.reason}`, {
      field: 'subject',
      reason: `the subject “${ownSubject}”: ${ownFault.reason}`,
    });
  if (!KEY.test(key)) {
    throw new DomainError('TEMPLATE_INVALID', `"${key}" is no template key; use one like emails/welcome`, {
      key,
    });
  }
  const written = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new DomainError('TEMPLATE_NOT_FOUND', `there is no templates/${key}.mjml`, { key }, { cause });
  });
  const source = ownSubject === null ? written : withSubject(written, ownSubject);
  const file = { folder, path, source };
  const includes: SourceFile[] = [];
  await checkSource(file, { includedBy: [], includes, isMjml: true });
  const known = compiled.get([file, ...includes]);
  if (known !== undefined) return { ...known, source };
  const mail = await compileChecked(file, includes);
  // MJML has read the includes itself: had one been changed meanwhile, the old text would stand for the new one later.
  if (await areAsRead(includes)) compiled.keep([file, ...includes], mail);
  return { ...mail, source };
}

async function compileChecked(file: SourceFile, includes: readonly SourceFile[]): Promise<MailTemplate> {
  const sources = [file, ...includes].map(({ source }) => source);
  const { html, outside } = withoutOutsideStyles(await compileHtml(file), sources);
  const subject = (/<title>([\s\S]*?)<\/title>/.exec(html)?.[1] ?? '').replace(/\s+/g, ' ').trim();
  if (subject === '') throw invalid(file, 1, '<mj-title> is missing; it is the subject');
  if (!HEADER_TEXT.test(subject) || subject.length > MAX_SUBJECT_CHARS)
    throw invalid(
      file,
      1,
      `the subject in <mj-title>: ${HEADER_TEXT_ADVICE}, at most ${MAX_SUBJECT_CHARS} characters`,
    );
  const text = textOf(file, html);
  if (text === '') throw invalid(file, 1, 'the mail has no text');
  // Once more on the results: a tag that MJML took apart is whole in the source.
  for (const part of [subject, html, text]) checkLiquid({ ...file, source: part }, 1);
  return { subject, html, text, outside };
}

/** Elements in elements are walked through by functions that call themselves. */
function textOf(file: SourceFile, html: string): string {
  try {
    return textOfHtml(html);
  } catch (error) {
    if (error instanceof RangeError) throw invalid(file, 1, 'its elements stand in each other too deep');
    throw error;
  }
}

async function areAsRead(files: readonly SourceFile[]): Promise<boolean> {
  for (const { path, source } of files)
    if ((await readFile(path, 'utf8').catch(() => null)) !== source) return false;
  return true;
}

/** Lines stay where they are: what is wrong with the rest is still found at its line. */
function withSubject(source: string, subject: string): string {
  const escaped = subject.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return source.replace(
    /<mj-title>([\s\S]*?)<\/mj-title>/,
    (_, before: string) => `<mj-title>${escaped}${before.replace(/[^\n]/g, '')}</mj-title>`,
  );
}

/** MJML is loaded by the first mail that needs it: it is a fifth of what a command takes to start. */
async function compileHtml(file: SourceFile): Promise<string> {
  const { default: mjml2html } = await import('mjml');
  const { html, errors } = await mjml2html(file.source, {
    filePath: file.path,
    validationLevel: 'soft',
    keepComments: false,
    // MJML loads its default font from Google, which tells Google who reads.
    fonts: {},
    // Also of what is included.
    preprocessors: [withBareLiquid],
    ignoreIncludes: false,
    includePath: [file.folder],
  }).catch((cause: unknown) => {
    throw invalid(file, 1, cause instanceof Error ? cause.message : String(cause));
  });
  const first = errors[0];
  if (first) {
    // MJML names the file of an error only in the sentence it made for people.
    const included = /^Line \d+ of (.+?), included at/.exec(first.formattedMessage)?.[1];
    throw invalid({ ...file, path: included ?? file.path }, first.line, first.message);
  }
  return html.replace(THUMBNAIL, (tag) => tag.replace(/\shref="#\d+"/, ''));
}

/** What MJML lets pass without a word: files that are not there, tags left open, broken Liquid. Adds to `includes` what it read. */
async function checkSource(
  file: SourceFile,
  {
    includedBy,
    includes,
    isMjml,
  }: { includedBy: readonly string[]; includes: SourceFile[]; isMjml: boolean },
): Promise<void> {
  if (file.source.length > MAX_SOURCE_CHARS)
    throw invalid(
      file,
      1,
      `it has ${file.source.length} characters; ${MAX_SOURCE_CHARS} are the most, and Gmail shows 102 KB`,
    );
  const source = withoutComments(file.source);
  checkLiquid({ ...file, source }, null);
  const odd = oddTag(source);
  if (odd) throw invalid(file, lineAt(source, odd.index), odd.reason);
  const deceptive = deceptiveLink(source);
  if (deceptive)
    throw invalid(file, lineAt(source, deceptive.index), `this link is refused: ${deceptive.href}`);
  const lost = isMjml ? lostPart(source) : null;
  if (lost)
    throw invalid(
      file,
      lineAt(source, lost.index),
      `${lost.part.slice(0, 80)} stands between elements, where MJML drops it; put it into one with words, such as <mj-text>`,
    );
  const unread = unreadInclude(source);
  if (unread !== null)
    throw invalid(
      file,
      lineAt(source, unread),
      'mj-include is written as <mj-include path="./part.mjml" />, its path in quotation marks',
    );
  for (const include of source.matchAll(INCLUDE)) {
    const name = include[1] ?? include[2] ?? '';
    const line = lineAt(source, include.index);
    const path = resolve(dirname(file.path), name);
    if (!path.startsWith(resolve(file.folder) + sep))
      throw invalid(file, line, `mj-include leaves the folder templates: ${name}`);
    if (path === file.path || includedBy.includes(path))
      throw invalid(file, line, `mj-include goes round in a circle: ${name}`);
    const content = await readFile(path, 'utf8').catch(() => {
      throw invalid(file, line, `mj-include names a file that is not there: ${name}`);
    });
    const isMjml = !includesOther(source, include.index);
    const unused = unusedPart(content, withoutComments(content), isMjml);
    if (unused !== null) throw invalid(file, line, `mj-include names a file ${unused}: ${name}`);
    const included = { folder: file.folder, path, source: content };
    includes.push(included);
    await checkSource(included, { includedBy: [...includedBy, file.path], includes, isMjml });
  }
}

/** Line breaks inside comments stay. In one pass: a pattern would look for the end of each anew. */
function withoutComments(source: string): string {
  let kept = '';
  for (let at = 0; ;) {
    const start = source.indexOf('<!--', at);
    const end = start < 0 ? -1 : source.indexOf('-->', start + 4);
    if (end < 0) return kept + source.slice(at);
    kept += source.slice(at, start) + source.slice(start, end).replace(/[^\n]/g, '');
    at = end + 3;
  }
}

function checkLiquid(file: SourceFile, knownLine: number | null): void {
  const fault = liquidFault(file.source);
  if (fault) throw invalid(file, knownLine ?? fault.line, fault.reason);
}

/** Tags that read a part from elsewhere. Liquid takes them for good, and each mail would fail when it is filled in. */
const READS_A_PART = /\{%-?\s*(include|render|layout)\b/;

/** Why a text is no Liquid for a mail, and the line; null when it is. */
export function liquidFault(source: string): { line: number; reason: string } | null {
  try {
    checker.parse(source);
  } catch (error) {
    const [said = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    const at = /, line:(\d+), col:\d+/.exec(said);
    const line = Number(at?.[1] ?? 1);
    return { line, reason: reasonOf(said.replace(at?.[0] ?? '', ''), source.split('\n')[line - 1] ?? '') };
  }
  const part = READS_A_PART.exec(withoutRaw(source));
  if (!part) return null;
  const [, name = ''] = part;
  return { line: lineAt(source, part.index), reason: inOurWords(`mails have no tag "${name}"`, name) };
}

/** A tag that was brought from another system is named with what is written here in its place. */
function reasonOf(said: string, line: string): string {
  const [, tag] = /^tag "(\w+)" not found/.exec(said) ?? [];
  return tag === undefined ? (foreignBraces(line) ?? said) : inOurWords(said, tag);
}

function inOurWords(reason: string, tag: string): string {
  const instead = insteadOfTag(tag);
  return instead === null ? reason : `${reason}; here it is ${instead}`;
}

/** Without what Liquid leaves as it is; places stay. */
function withoutRaw(source: string): string {
  return source.replace(/\{%-?\s*(raw|comment)\s*-?%\}[\s\S]*?\{%-?\s*end\1\s*-?%\}/g, (block) =>
    block.replace(/[^\n]/g, ' '),
  );
}

function lineAt(source: string, index: number): number {
  return source.slice(0, index).split('\n').length;
}

function invalid({ folder, path }: SourceFile, line: number, reason: string): DomainError {
  const file = `templates/${relative(folder, path)}`;
  return new DomainError('TEMPLATE_INVALID', `${file}:${line}: ${reason}`, { file, line });
}
