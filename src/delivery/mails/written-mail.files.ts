import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { TEMPLATES_DIR } from '../../infra/http/templates-dir.js';
import { DomainError } from '../../values/domain-error.js';
import { compileMail, liquidFault, type MailTemplate } from './mjml.templates.js';
import {
  mjmlOfWritten,
  ownSubjectOf,
  placeInWords,
  writtenPlace,
  type MailFoot,
  type WrittenMailPlace,
  type WrittenSource,
} from './written-mail.js';

/** MJML reads what a mail includes from a folder: one with the layouts and this mail alone, for as long as it takes. */
export async function compileWrittenMail(
  mail: WrittenSource,
  ownSubject: string | null,
  foot: MailFoot = 'marketing',
): Promise<MailTemplate & { source: string }> {
  checkVariables(mail, ownSubject);
  const folder = await mkdtemp(join(tmpdir(), 'wellspring-mail-'));
  try {
    const path = join(folder, `${mail.key}.mjml`);
    await mkdir(dirname(path), { recursive: true });
    await cp(join(TEMPLATES_DIR, 'layouts'), join(folder, 'layouts'), { recursive: true });
    await writeFile(path, mjmlOfWritten(mail, foot));
    return await compileMail(folder, mail.key, ownSubject);
  } catch (error) {
    throw inOwnersWords(error, mail, ownSubject);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Each field by itself: a variable that is left open would else swallow the beginning of the next field. */
function checkVariables(mail: WrittenSource, ownSubject: string | null): void {
  const own = liquidFault(ownSubject ?? '');
  if (own) throw invalid(ownSubjectOf(mail), own.reason);
  for (const field of ['subject', 'preview', 'body'] as const) {
    const fault = liquidFault(mail[field].replaceAll('\r\n', '\n'));
    if (!fault) continue;
    const place = { ...writtenPlace(mail, null, null), field, ...(field === 'body' && { line: fault.line }) };
    throw invalid(place, fault.reason);
  }
}

function invalid(mail: WrittenMailPlace, reason: string): DomainError {
  return new DomainError('TEMPLATE_INVALID', `${placeInWords(mail)}: ${reason}`, { mail, reason });
}

/** An error in the mail itself, with what of the form is wrong in place of a line of MJML; any other as it is. */
function inOwnersWords(error: unknown, mail: WrittenSource, ownSubject: string | null): unknown {
  if (!(error instanceof DomainError)) return error;
  const { file, line } = error.facts as { file?: string; line?: number };
  if (error.code !== 'TEMPLATE_INVALID' || file !== `templates/${mail.key}.mjml` || line === undefined)
    return error;
  const reason = error.message.replace(`${file}:${line}: `, '');
  // What is wrong with the subject as a whole has no line.
  const isOwn = ownSubject !== null && reason.includes('<mj-title>');
  return invalid(isOwn ? ownSubjectOf(mail) : writtenPlace(mail, line, ownSubject), reason);
}
