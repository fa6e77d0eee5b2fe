import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { TEMPLATES_DIR } from '../../infra/http/templates-dir.js';
import { compileMail, type MailTemplate } from './mjml.templates.js';
import { mjmlOfWritten, type WrittenMail } from './written-mail.js';

/** MJML reads what a mail includes from a folder: one with the layouts and this mail alone, for as long as it takes. */
export async function compileWrittenMail(
  mail: WrittenMail,
  ownSubject: string | null,
): Promise<MailTemplate & { source: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'wellspring-mail-'));
  try {
    const path = join(folder, `${mail.key}.mjml`);
    await mkdir(dirname(path), { recursive: true });
    await cp(join(TEMPLATES_DIR, 'layouts'), join(folder, 'layouts'), { recursive: true });
    await writeFile(path, mjmlOfWritten(mail));
    return await compileMail(folder, mail.key, ownSubject);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
