import { createHash } from 'node:crypto';
import { MAX_SOURCE_CHARS, partsOfMail } from '../../delivery/mails/mjml-includes.js';
import { partsOfPage } from '../../values/page-parts.js';
import { staysInTemplates } from '../../values/template-paths.js';
import type { Texts } from '../../values/template-texts.js';
import type { TemplateHashes } from '../changes/funnel-diff.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from '../lint/rules.js';
import { templatePath } from '../schemas/schema-parts.js';
import { stepMails } from '../schemas/step.schemas.js';
import { unkeepableText } from '../yaml/yaml-values.js';

/** Mails every funnel needs besides its steps. */
export const CONFIRM_MAIL = 'emails/confirm';
export const RECEIPT_MAIL = 'emails/receipt';

/** What comes after the form, and what comes with something to sell. */
const SIGN_UP_PAGES = ['pages/check-inbox', 'pages/confirm', 'pages/confirmed'];
const SALE_PAGES = ['pages/offer', 'pages/checkout', 'pages/declined', 'pages/upsell', 'pages/thanks'];

/** The text of a template by its path below `templates/`; null where there is none. */
export type ReadTemplate = (path: string) => Promise<string | null>;

/** A template that a funnel names or needs, and where its file says so. */
export interface NamedTemplate {
  /** As the file names it: without its ending. */
  name: string;
  path: readonly PropertyKey[];
}

export interface FunnelTemplates {
  /** Of all that its mails and pages are made of. */
  texts: Texts;
  /** By name, the hashes of the texts that each is made of. */
  hashes: TemplateHashes;
}

/** Also with single opt-in, who is known already is asked to confirm. */
export function mailNames({ sequence }: FunnelDefinition): string[] {
  return [
    ...new Set([CONFIRM_MAIL, RECEIPT_MAIL, ...stepMails(sequence.steps).map(({ step }) => step.email)]),
  ];
}

export function pagesOf({ form, offers }: FunnelDefinition): NamedTemplate[] {
  const pages = [
    { name: form.template, path: ['form', 'template'] },
    ...SIGN_UP_PAGES.map((name) => ({ name, path: ['form'] })),
    ...(offers.length === 0 ? [] : SALE_PAGES.map((name) => ({ name, path: ['offers'] }))),
  ];
  return pages.filter(({ name }, place) => pages.findIndex((one) => one.name === name) === place);
}

/** Reads all that the mails and pages are made of, each text once. What is not there or not readable is left out. */
export async function collectTemplates(
  definition: FunnelDefinition,
  read: ReadTemplate,
): Promise<FunnelTemplates> {
  const texts = new Map<string, string | null>();
  const textOf = async (path: string): Promise<string | null> => {
    const known = texts.get(path);
    if (known !== undefined) return known;
    const text = await read(path);
    texts.set(path, text);
    return text;
  };
  const hashes: Record<string, Record<string, string>> = {};
  const sources = [
    ...mailNames(definition).map((name) => ({ name, path: `${name}.mjml` })),
    ...pagesOf(definition).map(({ name }) => ({ name, path: `${name}.liquid` })),
  ];
  for (const { name, path } of sources) {
    // A set goes on to what is added while it is gone through.
    const paths = new Set([path]);
    const made: Record<string, string> = {};
    for (const one of paths) {
      const text = await textOf(one);
      if (text === null) continue;
      made[one] = createHash('sha256').update(text).digest('hex');
      for (const part of partsOf(text, one)) paths.add(part);
    }
    hashes[name] = made;
  }
  const found = [...texts].flatMap(([path, text]) => (text === null ? [] : [[path, text] as const]));
  return { texts: Object.fromEntries(found.toSorted(([a], [b]) => (a < b ? -1 : 1))), hashes };
}

/** Texts that the file brings and that neither a mail nor a page of the funnel is made of. */
export function unusedTemplates(own: Texts, { texts }: FunnelTemplates): DefinitionProblem[] {
  return Object.keys(own)
    .filter((path) => !(path in texts))
    .map((path) => ({
      rule: 'unused-template',
      path: ['templates', path],
      message: `no mail or page of this funnel is made of ${path}; take it out, or name it`,
    }));
}

/** Of what mails and pages are made of, what no funnel file may bring: an export with it would be refused. */
export function unwritableTemplates(
  named: readonly NamedTemplate[],
  { texts, hashes }: FunnelTemplates,
): DefinitionProblem[] {
  const told = new Set<string>();
  return named.flatMap(({ name, path }) =>
    Object.keys(hashes[name] ?? {}).flatMap((part): DefinitionProblem[] => {
      const length = texts[part]?.length ?? 0;
      const isNamed = templatePath.safeParse(part).success;
      const odd = unkeepableText(texts[part] ?? '');
      if (told.has(part) || (isNamed && odd === null && length <= MAX_SOURCE_CHARS)) return [];
      told.add(part);
      const tooLong = `has ${length} characters; ${MAX_SOURCE_CHARS} are the most`;
      const message = isNamed
        ? `templates/${part} ${odd ?? tooLong}`
        : `templates/${part} cannot be named in a funnel file, as an export does: use letters from a to z, digits, hyphens and an ending, at most 200 characters`;
      return [{ rule: 'broken-template', path, message }];
    }),
  );
}

/** Of what is broken, or leaves the folder templates, nothing: that is said at its own place. */
function partsOf(text: string, path: string): string[] {
  try {
    return path.endsWith('.liquid')
      ? partsOfPage(text, path).filter(staysInTemplates)
      : partsOfMail(text, path);
  } catch {
    return [];
  }
}
