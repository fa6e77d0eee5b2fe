import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import { compileMail } from '../delivery/mjml.templates.js';
import { TEMPLATES_DIR } from '../infra/http/templates-dir.js';
import { DomainError } from '../values/domain-error.js';
import type { Sources } from './funnel-diff.js';
import type { FunnelDefinition } from './funnel.schemas.js';
import type { DefinitionProblem } from './lint/rules.js';
import { stepMails } from './step.schemas.js';
import { MAIL_VARIABLES, unknownVariables, type MailKind } from '../delivery/template-variables.js';

/** Mails every funnel needs besides its steps. */
export const CONFIRM_MAIL = 'emails/confirm';
export const RECEIPT_MAIL = 'emails/receipt';

const TEMPLATES = resolve('templates');
/** What makes a page one to sign up on, and no thanks page or sign-in: it asks for the address and prints the consent. */
const SIGN_UP_PARTS = ['name="email"', 'form.consent'];

interface NamedSource {
  name: string;
  path: readonly PropertyKey[];
}

/** The templates and files a definition names: whether they are there, in order, and what their content is. */
@Injectable()
export class FunnelSourcesService {
  /** Problems are reported at the field that names the template or file, with the template's own line in the text. */
  async problems(definition: FunnelDefinition, folder: string | null): Promise<DefinitionProblem[]> {
    const mails = await Promise.all(mailsOf(definition).map(async (mail) => this.mailProblems(mail)));
    const files = await Promise.all(filesOf(definition).map(async (file) => fileProblems(file, folder)));
    const subjects = subjectProblems(definition);
    return [...(await pageProblems(definition)), ...mails.flat(), ...subjects, ...files.flat()];
  }

  /** SHA-256 of each source. A mail's hash covers the layouts, because every mail includes them. */
  async hashes(definition: FunnelDefinition, folder: string | null, known: Sources): Promise<Sources> {
    const layouts = await layoutsHash();
    const hashes: Record<string, string> = {};
    for (const { name } of mailsOf(definition)) {
      const source = await readFile(join(TEMPLATES, `${name}.mjml`));
      hashes[name] = createHash('sha256').update(layouts).update(source).digest('hex');
    }
    for (const { name } of filesOf(definition)) {
      const path = folder === null ? null : insideOf(folder, name);
      hashes[name] = path === null ? (known[name] ?? '') : await fileHash(path);
    }
    return hashes;
  }

  private async mailProblems({
    name,
    path,
    kind,
  }: NamedSource & { kind: MailKind }): Promise<DefinitionProblem[]> {
    const file = `templates/${name}.mjml`;
    const source = await readFile(join(TEMPLATES, `${name}.mjml`), 'utf8').catch(() => null);
    if (source === null) return [{ rule: 'unknown-template', path, message: `there is no ${file}` }];
    try {
      const unknown = unknownVariables(source, kind);
      await compileMail(TEMPLATES_DIR, name);
      const allowed = MAIL_VARIABLES[kind].join(', ');
      return unknown.map(({ name: variable, line }) => ({
        rule: 'unknown-variable',
        path,
        message: `${file}:${line} prints {{ ${variable} }}, which ${kind} mails do not have; they have: ${allowed}`,
      }));
    } catch (error) {
      const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
      const message = error instanceof DomainError ? reason : `${file}: ${reason}`;
      return [{ rule: 'broken-template', path, message }];
    }
  }
}

/** The path of a file of the funnel, or a refusal when it would leave the folder of the funnel. */
export function insideOf(folder: string, name: string): string {
  const path = resolve(folder, name);
  if (!path.startsWith(resolve(folder) + sep)) {
    throw new DomainError('FUNNEL_FILE_INVALID', `${name} lies outside the folder of the funnel file`, {
      name,
    });
  }
  return path;
}

export function filesOf({ form, products }: FunnelDefinition): NamedSource[] {
  const magnet =
    form.leadMagnet === undefined ? [] : [{ name: form.leadMagnet, path: ['form', 'leadMagnet'] }];
  const delivered = products.flatMap((product, index) =>
    product.delivers.map((name, place) => ({ name, path: ['products', index, 'delivers', place] })),
  );
  return [...magnet, ...delivered];
}

/**
 * Every mail the funnel sends, with what it is for and where the definition names it. Also with single opt-in, who is known
 * already is asked to confirm.
 */
export function mailsOf({ sequence }: FunnelDefinition): (NamedSource & { kind: MailKind })[] {
  const steps = stepMails(sequence.steps).map(({ step, path }): NamedSource & { kind: MailKind } => ({
    name: step.email,
    path: [...path, 'email'],
    kind: step.offer === undefined ? 'sequence' : 'offer',
  }));
  const confirm: NamedSource & { kind: MailKind } = {
    name: CONFIRM_MAIL,
    path: ['form'],
    kind: 'confirmation',
  };
  return [confirm, { name: RECEIPT_MAIL, path: ['offers'], kind: 'receipt' }, ...steps];
}

/** The subjects that arms of split tests have of their own are Liquid, as those of templates. */
function subjectProblems({ sequence }: FunnelDefinition): DefinitionProblem[] {
  return stepMails(sequence.steps).flatMap(({ step, subject, path: at }): DefinitionProblem[] => {
    if (subject === undefined) return [];
    const path = [...at, 'subject'];
    const kind = step.offer === undefined ? 'sequence' : 'offer';
    try {
      return unknownVariables(subject, kind).map(({ name }) => ({
        rule: 'unknown-variable',
        path,
        message: `it prints {{ ${name} }}, which ${kind} mails do not have`,
      }));
    } catch (error) {
      const [message = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
      return [{ rule: 'broken-template', path, message }];
    }
  });
}

async function pageProblems({ form }: FunnelDefinition): Promise<DefinitionProblem[]> {
  const path = ['form', 'template'];
  const file = `templates/${form.template}.liquid`;
  const source = await readFile(join(TEMPLATES, `${form.template}.liquid`), 'utf8').catch(() => null);
  if (source === null) return [{ rule: 'unknown-template', path, message: `there is no ${file}` }];
  if (form.template.startsWith('pages/') && SIGN_UP_PARTS.every((part) => source.includes(part))) return [];
  const message = `${file} is no page to sign up on, which has a field email and prints form.consent`;
  return [{ rule: 'page-without-form', path, message }];
}

async function fileProblems(
  { name, path }: NamedSource,
  folder: string | null,
): Promise<DefinitionProblem[]> {
  if (folder === null) return [];
  const found = await stat(insideOf(folder, name)).catch(() => null);
  const rule = 'unknown-file';
  if (found === null) return [{ rule, path, message: `there is no file ${name} beside the funnel file` }];
  return found.isFile()
    ? []
    : [{ rule, path, message: `${name} is a folder; name the files in it one by one` }];
}

async function layoutsHash(): Promise<string> {
  const folder = join(TEMPLATES, 'layouts');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.mjml')).toSorted();
  const hash = createHash('sha256');
  for (const name of names) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest('hex');
}

async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
