import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { allSteps, isSplitStep, type FunnelStep } from '../schemas/step.schemas.js';

/** One line of a plan. `sign`: + is made, ~ is changed, - is taken away. */
export interface PlannedChange {
  sign: '+' | '~' | '-';
  object: string;
  detail: string;
}

/** Hashes of the templates and files a definition names, by their path. Their content is part of the funnel. */
export type Sources = Readonly<Record<string, string>>;

/** By the name of a mail or page, the hashes of the texts it is made of by their path; its own is `<name>.mjml` or `.liquid`. */
export type TemplateHashes = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface FunnelState {
  /** Without the texts of its templates. */
  definition: FunnelDefinition;
  sources: Sources;
  /** Not there in a version of before these were kept; the hashes of its mails are among the sources then. */
  templates?: TemplateHashes;
  /** What came from other funnels with this version, and what went to others. Not there where nothing did. */
  moved?: Moved;
}

/** By the name of the object, such as `product kit`. */
export interface Moved {
  from: Readonly<Record<string, { funnel: string; was: Readonly<Record<string, unknown>> }>>;
  to: Readonly<Record<string, string>>;
}

/** What applying `next` over `current` would change, in words. Empty: nothing. */
export function funnelDiff(current: FunnelState | null, next: FunnelState): PlannedChange[] {
  const before = current ? partsOf(current.definition) : new Map<string, Record<string, unknown>>();
  const after = partsOf(next.definition);
  const changes: PlannedChange[] = [];
  for (const [object, fields] of after) {
    const old = before.get(object);
    const came = next.moved?.from[object];
    if (!old && came) {
      changes.push({ sign: '+', object, detail: `moved from funnel ${came.funnel}` });
      changes.push(...fieldChanges(object, came.was, fields));
    } else if (!old) changes.push({ sign: '+', object, detail: '' });
    else changes.push(...fieldChanges(object, old, fields));
  }
  for (const object of before.keys()) {
    const to = next.moved?.to[object];
    const detail = to === undefined ? '' : `moved to funnel ${to}`;
    if (!after.has(object)) changes.push({ sign: '-', object, detail });
  }
  if (current)
    changes.push(
      ...orderChanges(current.definition, next.definition),
      ...sourceChanges(current.sources, next.sources),
      ...templateChanges(current, next),
    );
  return changes;
}

/** `~ product launch-kit: price 49.00 EUR → 59.00 EUR` */
export function changeText({ sign, object, detail }: PlannedChange): string {
  return detail === '' ? `${sign} ${object}` : `${sign} ${object}: ${detail}`;
}

/** The fields of a form, product or offer, as a plan compares them. */
export function fieldsOf(definition: FunnelDefinition, object: string): Record<string, unknown> {
  return partsOf(definition).get(object) ?? {};
}

export function hasObject(definition: FunnelDefinition, object: string): boolean {
  return partsOf(definition).has(object);
}

function partsOf(definition: FunnelDefinition): Map<string, Record<string, unknown>> {
  const { funnel, title, sender, fields, form, sequence, products, offers, affiliates } = definition;
  return new Map<string, Record<string, unknown>>([
    [`funnel ${funnel}`, { title, ...prefixed('sender', sender), ...prefixed('fields', fields ?? {}) }],
    [`form ${form.slug}`, { ...form }],
    [`sequence ${funnel}`, { ...sequence, steps: undefined }],
    ...allSteps(sequence.steps).map(({ step }): [string, Record<string, unknown>] => [
      `step ${step.key}`,
      stepFields(step),
    ]),
    ...products.map((product): [string, Record<string, unknown>] => [
      `product ${product.key}`,
      { ...product },
    ]),
    ...offers.map((offer): [string, Record<string, unknown>] => [`offer ${offer.key}`, { ...offer }]),
    ...(affiliates === undefined ? [] : [['affiliates', { ...affiliates }] satisfies [string, object]]),
  ]);
}

function stepFields(step: FunnelStep): Record<string, unknown> {
  const keys = (steps: readonly FunnelStep[]): string[] => steps.map(({ key }) => key);
  if ('if' in step) return { ...step, then: keys(step.then), else: keys(step.else) };
  if (isSplitStep(step)) {
    const arms = step.split.arms.map((arm) => ({ ...arm, steps: keys(arm.steps) }));
    return { ...step, split: { ...step.split, arms } };
  }
  if (!('switch' in step)) return { ...step };
  const cases = step.switch.map(({ if: asked, then }) => ({ if: asked, then: keys(then) }));
  return { ...step, switch: cases, else: keys(step.else) };
}

function prefixed(prefix: string, fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [`${prefix}.${name}`, value]));
}

function fieldChanges(
  object: string,
  before: Record<string, unknown>,
  after: Record<string, unknown>,
): PlannedChange[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names]
    .filter((name) => valueText(before[name]) !== valueText(after[name]))
    .map((name) => ({
      sign: '~',
      object,
      detail: `${name} ${valueText(before[name])} → ${valueText(after[name])}`,
    }));
}

/** Steps, products and offers each have an order of their own; what came or went is told elsewhere. */
function orderChanges(before: FunnelDefinition, after: FunnelDefinition): PlannedChange[] {
  const orders = ({ sequence, products, offers }: FunnelDefinition): Record<string, string[]> => ({
    steps: allSteps(sequence.steps).map(({ step }) => step.key),
    products: products.map(({ key }) => key),
    offers: offers.map(({ key }) => key),
  });
  const old = orders(before);
  return Object.entries(orders(after)).flatMap(([what, now]): PlannedChange[] => {
    const were = old[what] ?? [];
    const kept = were.filter((key) => now.includes(key)).join(', ');
    const keptNow = now.filter((key) => were.includes(key)).join(', ');
    const object = `${what === 'steps' ? 'sequence' : 'funnel'} ${after.funnel}`;
    return kept === keptNow ? [] : [{ sign: '~', object, detail: `order of ${what} ${kept} → ${keptNow}` }];
  });
}

function sourceChanges(before: Sources, after: Sources): PlannedChange[] {
  return Object.keys(after)
    .filter((path) => path in before && before[path] !== after[path])
    .map((path) => ({
      sign: '~',
      object: path.startsWith('emails/') ? `email ${path}` : `file ${path}`,
      detail: 'its content changed',
    }));
}

function templateChanges(before: FunnelState, { definition, templates }: FunnelState): PlannedChange[] {
  if (templates === undefined) return [];
  if (before.templates === undefined) {
    const detail = 'the texts of its mails and pages are kept with it from now on';
    return [{ sign: '~', object: `funnel ${definition.funnel}`, detail }];
  }
  const old = before.templates;
  return Object.entries(templates).flatMap(([name, made]): PlannedChange[] => {
    const was = old[name];
    if (was === undefined) return [];
    const paths = [...new Set([...Object.keys(was), ...Object.keys(made)])];
    const changed = paths.filter((path) => was[path] !== made[path]);
    if (changed.length === 0) return [];
    const kind = `${name}.mjml` in made ? 'email' : 'page';
    const isOwn = changed.includes(`${name}.mjml`) || changed.includes(`${name}.liquid`);
    const detail = isOwn ? 'its content changed' : `what it includes changed: ${changed.join(', ')}`;
    return [{ sign: '~', object: `${kind} ${name}`, detail }];
  });
}

function valueText(value: unknown): string {
  if (value === undefined) return '(none)';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
