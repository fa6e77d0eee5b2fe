import type { FunnelDefinition } from '../funnel.schemas.js';
import { among, type DefinitionProblem } from '../lint/rules.js';
import { offersAfter } from '../upsell-problems.js';
import { mailSteps } from '../step.schemas.js';
import { readYamlFile, type YamlFile } from '../yaml-file.js';
import {
  ACTION_KINDS,
  EVERY_MAIL,
  personasSchema,
  type PersonaAction,
  type Personas,
  type Purchase,
} from './personas.schemas.js';

/** Reads the people of a simulation. Collects every problem instead of stopping at the first. */
export function readPersonasFile(text: string): YamlFile<Personas> {
  return readYamlFile(text, {
    schema: personasSchema,
    name: 'a file of personas',
    example: 'personas:',
    kinds: ACTION_KINDS,
  });
}

/** What the personas name that the funnels do not have. */
export function personaProblems(
  { personas, broadcasts }: Personas,
  definitions: readonly FunnelDefinition[],
): DefinitionProblem[] {
  const mails = definitions.flatMap(({ sequence }) => mailSteps(sequence.steps).map(({ step }) => step.key));
  const offers = definitions.flatMap((definition) => definition.offers);
  const names = new Set<string>();
  return [
    ...broadcastProblems(broadcasts),
    ...personas.flatMap(({ name, does }, index): DefinitionProblem[] => {
      const own = does.flatMap((action, place) =>
        actionProblems(action, mails, offers).map((problem) => ({
          ...problem,
          path: ['personas', index, 'does', place, ...problem.path],
        })),
      );
      if (!names.has(name)) return (names.add(name), own);
      return [
        ...own,
        {
          rule: 'duplicate-key',
          path: ['personas', index, 'name'],
          message: `a second persona is called "${name}"`,
        },
      ];
    }),
  ];
}

function broadcastProblems(broadcasts: Personas['broadcasts']): DefinitionProblem[] {
  return broadcasts.flatMap(({ key }, index): DefinitionProblem[] =>
    broadcasts.findIndex((one) => one.key === key) === index
      ? []
      : [
          {
            ...{ rule: 'duplicate-key', path: ['broadcasts', index, 'key'] },
            message: `a second broadcast is called "${key}"`,
          },
        ],
  );
}

/** People who do the usual things, for a simulation without a file of personas. */
export function usualPersonas({ offers, sequence }: FunnelDefinition): Personas {
  const usual = { timeZone: 'Europe/Berlin' };
  const clicks = { clicks: EVERY_MAIL, after: '3 hours' };
  const buys = offers.flatMap(({ key }) => {
    const mail = mailSteps(sequence.steps).find(({ step }) => step.offer === key);
    return mail === undefined ? [] : [{ buys: key, afterMail: mail.step.key, after: '1 day' }];
  });
  return personasSchema.parse({
    personas: [
      { name: 'reads-nothing', ...usual },
      { name: 'clicks-everything', ...usual, does: [clicks] },
      ...(buys.length === 0 ? [] : [{ name: 'buys', ...usual, does: [clicks, ...buys] }]),
    ],
  });
}

function actionProblems(
  action: PersonaAction,
  mails: readonly string[],
  offers: FunnelDefinition['offers'],
): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  for (const name of ['opens', 'clicks', 'afterMail'] as const) {
    const mail: unknown = Reflect.get(action, name);
    if (typeof mail === 'string' && mail !== EVERY_MAIL && !mails.includes(mail))
      problems.push({
        rule: 'unknown-step',
        path: [name],
        message: `no step "${mail}" sends a mail${among(mails)}`,
      });
  }
  return 'buys' in action ? [...problems, ...purchaseProblems(action, offers)] : problems;
}

function purchaseProblems(
  { buys, answers = [] }: Purchase,
  offers: FunnelDefinition['offers'],
): DefinitionProblem[] {
  const rule = 'unknown-offer';
  const all = new Map(offers.map((offer) => [offer.key, offer]));
  if (!all.has(buys))
    return [{ rule, path: ['buys'], message: `there is no offer "${buys}"${among([...all.keys()])}` }];
  const shown = offersAfter(buys, all);
  return answers.flatMap((answer, place): DefinitionProblem[] => {
    const [name, offer] = 'takes' in answer ? ['takes', answer.takes] : ['declines', answer.declines];
    if (shown.has(offer)) return [];
    const message = `"${offer}" is never shown after an order of "${buys}"${among([...shown])}`;
    return [{ rule, path: ['answers', place, name], message }];
  });
}
