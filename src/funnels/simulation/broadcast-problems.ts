import { sameArms, saysTheSame, wordsOf, armKey } from '../../broadcasts/split.js';
import { offersOf } from '../../broadcasts/offers-of-words.js';
import { DomainError } from '../../values/domain-error.js';
import { soldIn } from '../publish/offer-snapshot.js';
import { HOLDOUT } from '../../segments/held-out.js';
import { leavesOf, namedIn, type Condition } from '../../segments/condition.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { among, type DefinitionProblem, type RuleName } from '../lint/rules.js';
import { EACH_READER } from '../../broadcasts/broadcasts.schemas.js';
import { allSteps } from '../schemas/step.schemas.js';
import { actOf, readSegments, type VirtualBroadcast } from './virtual-broadcasts.schemas.js';
import type { Personas } from './personas.schemas.js';

interface Problem {
  field: PropertyKey[];
  message: string;
  rule?: RuleName;
}

/** What cannot be so about the broadcasts and the segments, and what a simulation cannot know of them. */
export function broadcastProblems(
  { broadcasts, segments, owner, personas }: Pick<Personas, 'broadcasts' | 'segments' | 'owner' | 'personas'>,
  definitions: readonly FunnelDefinition[],
): DefinitionProblem[] {
  const { conditions, problems } = readSegments(segments, broadcasts);
  const sold = soldIn(definitions);
  return [
    ...problems.map((problem) => ({ rule: 'wrong-value' as const, ...problem })),
    ...Object.entries(conditions).flatMap(([name, condition]) =>
      lostIn(name, condition, { definitions, broadcasts, personas }),
    ),
    ...ownerProblems(owner, broadcasts),
    ...broadcasts.flatMap((broadcast, place) =>
      problemsOf(broadcast, broadcasts.slice(0, place), {
        segments: Object.keys(segments),
        funnels: definitions.map(({ funnel }) => funnel),
        sold,
      }).map(({ field, message, rule = 'wrong-value' }) => ({
        ...{ rule, message },
        path: ['broadcasts', place, ...field],
      })),
    ),
  ];
}

/** What a condition names that the files do not have. Affiliates are in no file; tags need not be there. */
function lostIn(
  name: string,
  condition: Condition,
  {
    definitions,
    broadcasts,
    personas,
  }: {
    definitions: readonly FunnelDefinition[];
    broadcasts: Personas['broadcasts'];
    personas: Personas['personas'];
  },
): DefinitionProblem[] {
  const funnels = definitions.map(({ funnel }) => funnel);
  const tests = testsOf(definitions);
  const known: Readonly<Record<string, readonly string[]>> = {
    ...{ funnel: funnels, sequence: funnels, form: definitions.slice(0, 1).map(({ form }) => form.slug) },
    list: personas.flatMap(({ lists, does }) => [
      ...lists,
      ...does.flatMap((action) => ('list' in action ? [action.list] : [])),
    ]),
    product: definitions.flatMap(({ products }) => products.map(({ key }) => key)),
    arm: [
      ...broadcasts.flatMap(({ split }, place) =>
        [
          ...(split?.arms ?? []).map((_, arm) => armKey(arm)),
          ...(split?.holdout === undefined ? [] : [HOLDOUT]),
        ].map((arm) => `${arm} of broadcast ${place + 1}`),
      ),
      ...tests.flatMap(({ test, arms }) => arms.map((arm) => `${arm} of ${test}`)),
    ],
    'split test': tests.map(({ test }) => test),
  };
  return leavesOf(condition).flatMap(({ leaf, path }) =>
    namedIn(leaf).flatMap(([kind, key]): DefinitionProblem[] => {
      const keys = known[kind];
      if (keys === undefined || keys.includes(key)) return [];
      // Of a test that is not there, one problem is enough.
      const test = key.slice(key.indexOf(' of ') + ' of '.length);
      if (kind === 'arm' && test.includes('/') && !tests.some((one) => one.test === test)) return [];
      const message = `there is no ${kind} "${key}" here${among(keys)}`;
      return [{ rule: 'wrong-value', path: ['segments', name, ...path.split('.').filter(Boolean)], message }];
    }),
  );
}

/** The split tests of steps, by their places. */
function testsOf(definitions: readonly FunnelDefinition[]): { test: string; arms: string[] }[] {
  return definitions.flatMap(({ funnel, sequence }) =>
    allSteps(sequence.steps).flatMap(({ step }) => {
      const split = 'split' in step ? step.split : undefined;
      if (split === undefined) return [];
      const held = split.holdout === undefined ? [] : [HOLDOUT];
      return [{ test: `${funnel}/${step.key}`, arms: [...split.arms.map(({ key }) => key), ...held] }];
    }),
  );
}

function ownerProblems(owner: Personas['owner'], broadcasts: Personas['broadcasts']): DefinitionProblem[] {
  return owner.flatMap((act, place): DefinitionProblem[] => {
    const { key, action } = actOf(act);
    if (broadcasts.some((one) => one.key === key)) return [];
    const message = `no broadcast is called "${key}"${among(keysOf(broadcasts))}`;
    return [{ rule: 'wrong-value', path: ['owner', place, `${action}s`], message }];
  });
}

/** What there is to name. */
interface Named {
  segments: readonly string[];
  funnels: readonly string[];
  sold: ReturnType<typeof soldIn>;
}

function problemsOf(
  broadcast: VirtualBroadcast,
  before: readonly VirtualBroadcast[],
  { segments, funnels, sold }: Named,
): Problem[] {
  const { key, funnel, segments: named } = broadcast;
  const lost = (['any', 'none'] as const).flatMap((which) =>
    (named?.[which] ?? []).flatMap((segment, place): Problem[] =>
      segments.includes(segment)
        ? []
        : [
            {
              field: ['segments', which, place],
              message: `nothing under "segments" describes "${segment}"${among(segments)}`,
            },
          ],
    ),
  );
  const arms = sameArms(broadcast.split === undefined ? [] : wordsOf(words(broadcast)));
  return [
    ...(before.some((one) => one.key === key)
      ? [{ rule: 'duplicate-key' as const, field: ['key'], message: `a second broadcast is called "${key}"` }]
      : []),
    ...lost,
    ...(funnel === undefined || funnels.includes(funnel)
      ? []
      : [{ field: ['funnel'], message: `no file here describes the funnel "${funnel}"${among(funnels)}` }]),
    ...(arms === null
      ? []
      : [
          {
            rule: 'split-test' as const,
            field: ['split', 'arms'],
            message: `arms ${armKey(arms[0]).toUpperCase()} and ${armKey(arms[1]).toUpperCase()} are the same mail`,
          },
        ]),
    ...offerProblems(broadcast, sold),
    ...timingProblems(broadcast),
    ...resendProblems(broadcast, before),
  ];
}

function offerProblems(broadcast: VirtualBroadcast, sold: Named['sold']): Problem[] {
  try {
    offersOf(words(broadcast), sold);
    return [];
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const field = String(error.facts['field']);
    const path = field.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part));
    return [{ field: path, message: error.message.slice(field.length + 2) }];
  }
}

function timingProblems(broadcast: VirtualBroadcast): Problem[] {
  const { at, atLocal, timezone = EACH_READER, fallbackZone } = broadcast;
  if (at === undefined && atLocal === undefined)
    return [{ rule: 'missing-value', field: ['at'], message: 'say when: give at or atLocal' }];
  if (at === undefined)
    return timezone === EACH_READER || fallbackZone === undefined
      ? []
      : [
          {
            field: ['fallbackZone'],
            message: 'with a timezone one clock counts for everybody; leave it out',
          },
        ];
  if (atLocal !== undefined) return [{ field: ['atLocal'], message: 'give at or atLocal, not both' }];
  const needless = (['fallbackZone', 'ifPassed', 'timezone'] as const).find(
    (name) => broadcast[name] !== undefined,
  );
  return needless === undefined
    ? []
    : [{ field: [needless], message: 'it belongs to atLocal: give that, or leave it out' }];
}

/** As `BroadcastResends` has it. */
function resendProblems(broadcast: VirtualBroadcast, before: readonly VirtualBroadcast[]): Problem[] {
  const { resendOf, unless, atLocal, startedAt } = broadcast;
  if (resendOf === undefined)
    return unless === undefined ? [] : [{ field: ['unless'], message: 'it belongs to resendOf' }];
  const field = ['resendOf'];
  const first = before.find(({ key }) => key === resendOf);
  if (first === undefined)
    return [{ field, message: `no broadcast before it is called "${resendOf}"${among(keysOf(before))}` }];
  if (first.resendOf !== undefined)
    return [{ field, message: `"${resendOf}" is itself sent once more; a person gets it twice at most` }];
  const other = before.find((one) => one.resendOf === resendOf);
  if (other !== undefined)
    return [{ field, message: `"${resendOf}" is sent once more already, as "${other.key}"` }];
  const problems = (['tags', 'segments', 'funnel', 'split'] as const).flatMap((name): Problem[] =>
    broadcast[name] === undefined
      ? []
      : [
          {
            field: [name],
            message: 'a mail that is sent once more goes to those whom the first did not reach: leave it out',
          },
        ],
  );
  if (wordsOf(words(broadcast)).some((one) => saysTheSame(one, wordsOf(words(first)))))
    problems.push({
      field: ['subject'],
      message: 'the first mail had these very words; give another subject',
    });
  if (atLocal !== undefined && startedAt === undefined)
    problems.push({
      rule: 'missing-value',
      field: ['startedAt'],
      message: 'with atLocal, say when the owner starts it: all mails of the first are on their way then',
    });
  return problems;
}

function keysOf(broadcasts: readonly VirtualBroadcast[]): string[] {
  return broadcasts.map(({ key }) => key);
}

function words({ email, subject, split, offer }: VirtualBroadcast): Parameters<typeof wordsOf>[0] {
  return { template: email, subject, split, offer };
}
