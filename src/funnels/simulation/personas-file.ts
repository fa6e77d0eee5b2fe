import { armKey } from '../../broadcasts/split.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { among, type DefinitionProblem } from '../lint/rules.js';
import { offersAfter } from '../lint/upsell-problems.js';
import { mailSteps } from '../schemas/step.schemas.js';
import { readYamlFile, type YamlFile } from '../yaml/yaml-file.js';
import { broadcastProblems } from './broadcast-problems.js';
import { emailKeyOf, mailOf } from './persona-script.js';
import {
  ACTION_KINDS,
  EVERY_BROADCAST,
  EVERY_MAIL,
  NUMBER_SIGN,
  OF_BROADCAST,
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

/** What the personas name that the funnels and the broadcasts do not have, and what cannot be so. */
export function personaProblems(
  { personas, broadcasts, segments, owner }: Personas,
  definitions: readonly FunnelDefinition[],
): DefinitionProblem[] {
  const mails = definitions.flatMap(({ sequence }) => mailSteps(sequence.steps).map(({ step }) => step.key));
  const offers = definitions.flatMap((definition) => definition.offers);
  const names = new Set<string>();
  const named = { mails, broadcasts };
  return [
    ...broadcastProblems({ broadcasts, segments, owner, personas }, definitions),
    ...addressProblems(personas),
    ...personas.flatMap(({ name, does, trackingConsent }, index): DefinitionProblem[] => {
      const own = does.flatMap((action, place) =>
        [...actionProblems(action, named, offers), ...(trackingConsent ? [] : unseen(action))].map(
          (problem) => ({
            ...problem,
            path: ['personas', index, 'does', place, ...problem.path],
          }),
        ),
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

/** Two people with one address would be one subscriber. */
function addressProblems(personas: Personas['personas']): DefinitionProblem[] {
  const taken = new Set<string>();
  return personas.flatMap((persona, index): DefinitionProblem[] => {
    const { email, count } = persona;
    const path = ['personas', index, email === undefined ? 'name' : 'email'];
    if (email !== undefined && count > 1 && !email.includes(NUMBER_SIGN)) {
      const message = `put ${NUMBER_SIGN} where the number of each of the ${count} people goes`;
      return [{ rule: 'wrong-value', path, message }];
    }
    const keys = Array.from({ length: count }, (_, person) => emailKeyOf(persona, person + 1));
    const twice = keys.find((key) => taken.has(key));
    for (const key of keys) taken.add(key);
    const message = `a second person has the address ${twice ?? ''}`;
    return twice === undefined ? [] : [{ rule: 'duplicate-key', path, message }];
  });
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

interface Named {
  /** Keys of the steps that send a mail. */
  mails: readonly string[];
  broadcasts: Personas['broadcasts'];
}

function actionProblems(
  action: PersonaAction,
  named: Named,
  offers: FunnelDefinition['offers'],
): DefinitionProblem[] {
  const problems = (['opens', 'clicks', 'afterMail'] as const).flatMap((name): DefinitionProblem[] => {
    const mail: unknown = Reflect.get(action, name);
    const message = typeof mail === 'string' ? mailProblem(mail, named) : null;
    return message === null ? [] : [{ rule: 'unknown-step', path: [name], message }];
  });
  const arm = armProblem(action, named);
  if (arm !== null) problems.push({ rule: 'unknown-step', path: ['arm'], message: arm });
  return 'buys' in action ? [...problems, ...purchaseProblems(action, offers)] : problems;
}

function armProblem(action: PersonaAction, { broadcasts }: Named): string | null {
  const mail = mailOf(action);
  if (action.arm === undefined) return null;
  const arms = broadcasts.find(({ key }) => OF_BROADCAST + key === mail)?.split?.arms;
  if (arms === undefined) return 'name the mail of a broadcast with a split test, or leave it out';
  const keys = arms.map((_, arm) => armKey(arm));
  return keys.includes(action.arm) ? null : `there is no arm "${action.arm}"${among(keys)}`;
}

function mailProblem(mail: string, { mails, broadcasts }: Named): string | null {
  if (mail === EVERY_BROADCAST) return broadcasts.length === 0 ? 'there are no broadcasts' : null;
  if (mail.startsWith(OF_BROADCAST)) {
    const keys = broadcasts.map(({ key }) => key);
    const key = mail.slice(OF_BROADCAST.length);
    return keys.includes(key) ? null : `no broadcast is called "${key}"${among(keys)}`;
  }
  if (mail === EVERY_MAIL || mails.includes(mail)) return null;
  return `no step "${mail}" sends a mail${among(mails)}`;
}

/** Their mails hold no picture that tells and no link of ours. */
function unseen(action: PersonaAction): DefinitionProblem[] {
  const name = 'opens' in action ? 'opens' : 'clicks' in action ? 'clicks' : null;
  const message = 'without trackingConsent nobody sees it: leave it out, or give the consent';
  return name === null ? [] : [{ rule: 'wrong-value', path: [name], message }];
}

function purchaseProblems(purchase: Purchase, offers: FunnelDefinition['offers']): DefinitionProblem[] {
  const { buys, answers = [] } = purchase;
  const rule = 'unknown-offer';
  const all = new Map(offers.map((offer) => [offer.key, offer]));
  if (!all.has(buys))
    return [{ rule, path: ['buys'], message: `there is no offer "${buys}"${among([...all.keys()])}` }];
  const shown = offersAfter(buys, all);
  const ofAnswers = answers.flatMap((answer, place): DefinitionProblem[] => {
    const [name, offer] = 'takes' in answer ? ['takes', answer.takes] : ['declines', answer.declines];
    if (shown.has(offer))
      return refundProblems('takes' in answer ? answer : {}, all.get(offer), ['answers', place]);
    const message = `"${offer}" is never shown after an order of "${buys}"${among([...shown])}`;
    return [{ rule, path: ['answers', place, name], message }];
  });
  return [...refundProblems(purchase, all.get(buys), []), ...ofAnswers];
}

/** What cannot go back of an order of the offer. */
function refundProblems(
  script: Partial<Pick<Purchase, 'refunds' | 'refundsAfter'>>,
  offer: FunnelDefinition['offers'][number] | undefined,
  path: readonly PropertyKey[],
): DefinitionProblem[] {
  const { refunds, refundsAfter } = script;
  if (refunds === undefined) return [];
  const at = [...path, 'refunds'];
  if (refundsAfter === undefined)
    return [
      { rule: 'missing-value', path: at, message: 'it belongs to refundsAfter: say when, or leave it out' },
    ];
  const sold = [offer?.product, offer?.bump].filter((one) => one !== undefined);
  const lost = typeof refunds === 'string' ? undefined : refunds.find((one) => !sold.includes(one));
  if (lost === undefined) return [];
  const message = `"${lost}" is not sold by ${offer?.key ?? 'the offer'}${among(sold)}`;
  return [{ rule: 'wrong-value', path: at, message }];
}
