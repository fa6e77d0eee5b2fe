import { Injectable } from '@nestjs/common';
import { foreignTags, hintOf } from '../../delivery/mails/foreign-tags.js';
import { compileMail } from '../../delivery/mails/mjml.templates.js';
import { dutyFault } from '../../delivery/mails/duty-fault.templates.js';
import { isMarketing } from '../../delivery/preflight/drafts.service.js';
import { lineOfVariable } from '../../delivery/preflight/variables.templates.js';
import { MAIL_VARIABLES, unknownVariables, type MailKind } from '../../delivery/mails/template-variables.js';
import { partsOfPage } from '../../values/page-parts.js';
import { staysInTemplates } from '../../values/template-paths.js';
import type { Texts } from '../../values/template-texts.js';
import { DomainError } from '../../values/domain-error.js';
import { fileProblems } from '../files/delivered.files.js';
import { inTemplateFolder, ownTemplates, templatesReader } from './funnel-templates.files.js';
import {
  collectTemplates,
  CONFIRM_MAIL,
  pagesOf,
  RECEIPT_MAIL,
  unusedTemplates,
  unwritableTemplates,
  type FunnelTemplates,
  type NamedTemplate,
} from './funnel-templates.js';
import { writeFunnelFile } from '../yaml/funnel-file.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem, RuleName } from '../lint/rules.js';
import { stepMails } from '../schemas/step.schemas.js';
import { MAX_FILE_CHARACTERS } from '../yaml/yaml-file.js';

/** What makes a page one to sign up on, and no thanks page or sign-in: it asks for the address and prints the consent. */
const SIGN_UP_PARTS = ['name="email"', 'form.consent'];

/** The templates and files a definition names: whether they are there, in order, and what their content is. */
@Injectable()
export class FunnelSourcesService {
  /**
   * Reads the templates once, so that what was looked at is what is kept. Problems are reported at the field that names the
   * template or file, with the template's own line in the text. `kept`: texts that go before those of the folder `templates`.
   */
  async read(
    definition: FunnelDefinition,
    folder: string | null,
    kept: Texts = {},
  ): Promise<{ templates: FunnelTemplates; problems: DefinitionProblem[] }> {
    const own = await ownTemplates(definition, folder);
    const templates = await collectTemplates(definition, templatesReader({ ...kept, ...own.texts }));
    const { texts } = templates;
    const faults = await inTemplateFolder(texts, async (compileIn) =>
      faultsOfMails(definition, texts, compileIn),
    );
    const problems = [
      ...pageProblems(definition, texts),
      ...mailsOf(definition).flatMap((mail) => mailProblems(mail, texts, faults.get(mail.name) ?? null)),
      ...subjectProblems(definition),
      ...(await fileProblems(definition, folder)),
      ...own.problems,
      ...unusedTemplates(own.texts, templates),
      ...unwritableTemplates([...mailsOf(definition), ...pagesOf(definition)], templates),
      ...exportProblems(definition, texts),
    ];
    return { templates, problems };
  }
}

/** Every mail the funnel sends, with what it is for and where the definition names it. */
export function mailsOf({ sequence }: FunnelDefinition): (NamedTemplate & { kind: MailKind })[] {
  const steps = stepMails(sequence.steps).map(({ step, path }): NamedTemplate & { kind: MailKind } => ({
    name: step.email,
    path: [...path, 'email'],
    kind: step.offer === undefined ? 'sequence' : 'offer',
  }));
  return [
    { name: CONFIRM_MAIL, path: ['form'], kind: 'confirmation' },
    { name: RECEIPT_MAIL, path: ['offers'], kind: 'receipt' },
    ...steps,
  ];
}

type MailFault = Pick<DefinitionProblem, 'rule' | 'message'>;

/** Why a mail cannot be made, or must not be sent, by its name. Each is made once, however many steps send it: five hundred took 18 seconds. */
async function faultsOfMails(
  definition: FunnelDefinition,
  texts: Texts,
  folder: string,
): Promise<ReadonlyMap<string, MailFault>> {
  const faults = new Map<string, MailFault>();
  for (const name of new Set(mailsOf(definition).map((mail) => mail.name))) {
    const file = `${name}.mjml`;
    if (texts[file] === undefined) continue;
    try {
      const message = hiddenDutyOf(definition, name, await compileMail(folder, name));
      if (message !== null) faults.set(name, { rule: 'hidden-duty', message });
    } catch (error) {
      const message =
        error instanceof DomainError ? reasonOf(error) : `templates/${file}: ${reasonOf(error)}`;
      faults.set(name, { rule: 'broken-template', message });
    }
  }
  return faults;
}

/** What a mail of the sequence hides that the law wants shown; null: nothing, or it is no marketing mail. */
export function hiddenDutyOf(
  definition: FunnelDefinition,
  name: string,
  mail: { html: string; source: string },
): string | null {
  const { sender, title: funnelTitle } = definition;
  const kinds = mailsOf(definition).flatMap((one) => (one.name === name ? [one.kind] : []));
  const kind = kinds.find((one) => one === 'offer') ?? kinds.find((one) => one === 'sequence');
  const fault = kind === undefined ? null : dutyFault(mail, { kind, sender, funnelTitle });
  if (fault === null) return null;
  const line = lineOfVariable(
    mail.source,
    fault.includes('unsubscribe') ? 'unsubscribeUrl' : 'postalAddress',
  );
  return `templates/${name}.mjml${line === null ? '' : `:${line}`}: ${fault}; layouts/mail-foot-marketing.mjml shows both`;
}

function mailProblems(
  { name, path, kind }: NamedTemplate & { kind: MailKind },
  texts: Texts,
  fault: MailFault | null,
): DefinitionProblem[] {
  const file = `templates/${name}.mjml`;
  const source = texts[`${name}.mjml`];
  if (source === undefined) return [{ rule: 'unknown-template', path, message: `there is no ${file}` }];
  const found =
    fault !== null && (fault.rule !== 'hidden-duty' || isMarketing(kind)) ? [{ ...fault, path }] : [];
  if (fault !== null && fault.rule !== 'hidden-duty') return found;
  try {
    const allowed = MAIL_VARIABLES[kind].join(', ');
    const unknown = unknownVariables(source, kind).map(({ name: variable, line }) => ({
      rule: 'unknown-variable' as const,
      path,
      message: `${file}:${line} prints {{ ${variable} }}, which ${kind} mails do not have${hintOf(variable, kind)}; they have: ${allowed}`,
    }));
    const foreign = foreignTags(source, kind).map(({ tag, isSure, message }) => ({
      rule: foreignRule(isSure),
      path,
      message: `${file}:${lineOf(source, tag)}: ${message}`,
    }));
    return [...found, ...unknown, ...foreign];
  } catch (error) {
    return [{ rule: 'broken-template', path, message: `${file}: ${reasonOf(error)}` }];
  }
}

/** The subjects that arms of split tests have of their own are Liquid, as those of templates. */
function subjectProblems({ sequence }: FunnelDefinition): DefinitionProblem[] {
  return stepMails(sequence.steps).flatMap(({ step, subject, path: at }): DefinitionProblem[] => {
    if (subject === undefined) return [];
    const path = [...at, 'subject'];
    const kind = step.offer === undefined ? 'sequence' : 'offer';
    try {
      const unknown = unknownVariables(subject, kind).map(({ name }) => ({
        ...({ rule: 'unknown-variable', path } as const),
        message: `it prints {{ ${name} }}, which ${kind} mails do not have${hintOf(name, kind)}`,
      }));
      const foreign = foreignTags(subject, kind).map(({ isSure, message }) => ({
        ...{ rule: foreignRule(isSure), path, message },
      }));
      return [...unknown, ...foreign];
    } catch (error) {
      return [{ rule: 'broken-template', path, message: reasonOf(error) }];
    }
  });
}

function foreignRule(isSure: boolean): RuleName {
  return isSure ? 'unknown-variable' : 'foreign-tag';
}

function lineOf(source: string, tag: string): number {
  return source.slice(0, source.indexOf(tag)).split('\n').length;
}

/** Each page with its layouts and parts: it is there, Liquid can read it, and one can sign up on the first. */
function pageProblems(definition: FunnelDefinition, texts: Texts): DefinitionProblem[] {
  const { form } = definition;
  return pagesOf(definition).flatMap(({ name, path }): DefinitionProblem[] => {
    const source = texts[`${name}.liquid`];
    const file = `templates/${name}.liquid`;
    if (source === undefined) return [{ rule: 'unknown-template', path, message: `there is no ${file}` }];
    const isSignUp = name.startsWith('pages/') && SIGN_UP_PARTS.every((part) => source.includes(part));
    if (name === form.template && !isSignUp) {
      const message = `${file} is no page to sign up on, which has a field email and prints form.consent`;
      return [{ rule: 'page-without-form', path, message }];
    }
    return partProblems(`${name}.liquid`, texts).map((message) => ({
      rule: 'broken-template',
      path,
      message,
    }));
  });
}

function partProblems(page: string, texts: Texts): string[] {
  const problems: string[] = [];
  // By path, what names it. A map goes on to what is added while it is gone through.
  const paths = new Map([[page, page]]);
  for (const [path, namedBy] of paths) {
    const text = texts[path];
    if (!staysInTemplates(path))
      problems.push(`templates/${namedBy} names ${path}, which leaves the folder templates`);
    else if (text === undefined)
      problems.push(`templates/${namedBy} names templates/${path}, which is not there`);
    else
      try {
        for (const part of partsOfPage(text, path)) if (!paths.has(part)) paths.set(part, path);
      } catch (error) {
        problems.push(`templates/${path}: ${reasonOf(error)}`);
      }
  }
  return problems;
}

/** An export that could not be applied would be no way back. Blocks take more room than what is written in one line. */
function exportProblems(definition: FunnelDefinition, texts: Texts): DefinitionProblem[] {
  const { length } = writeFunnelFile({ ...definition, templates: undefined }, texts);
  if (length <= MAX_FILE_CHARACTERS) return [];
  const message = `an export of this funnel with its mails and pages would have ${length} characters; ${MAX_FILE_CHARACTERS} are the most that are read`;
  return [{ rule: 'unreadable-file', path: [], message }];
}

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
