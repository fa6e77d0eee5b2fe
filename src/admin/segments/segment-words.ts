import { HOLDOUT } from '../../segments/held-out.js';
import type { Condition, FieldCondition, Leaf, MailFilter, TimeWindow } from '../../segments/condition.js';

export const OPERATOR_WORDS: Readonly<Record<FieldCondition['op'], string>> = {
  is: 'is',
  isNot: 'is something else than',
  oneOf: 'is one of',
  contains: 'contains',
  startsWith: 'begins with',
  atLeast: 'is at least',
  atMost: 'is at most',
  above: 'is above',
  below: 'is below',
  before: 'is before',
  after: 'is after',
  withinDays: 'was in the last',
  inNextDays: 'is in the next',
  isSet: 'is filled',
};

/** A tree of conditions as a sentence; brackets where one level stands inside another. */
export function conditionInWords(condition: Condition, isInner = false): string {
  if ('all' in condition || 'any' in condition) {
    const [parts, word] = 'all' in condition ? [condition.all, ' and '] : [condition.any, ' or '];
    const text = parts.map((one) => conditionInWords(one, parts.length > 1)).join(word);
    return isInner && parts.length > 1 ? `(${text})` : text;
  }
  if ('not' in condition) return `not ${conditionInWords(condition.not, true)}`;
  return leafInWords(condition);
}

function leafInWords(leaf: Leaf): string {
  if ('status' in leaf) return `status ${leaf.status.join(' or ')}`;
  if ('tag' in leaf) return `tag “${leaf.tag}”`;
  if ('list' in leaf) return `on the list “${leaf.list}”`;
  if ('field' in leaf) return fieldInWords(leaf);
  if ('signedUp' in leaf) return `signed up${windowInWords(leaf.signedUp)}`;
  if ('confirmed' in leaf) return `confirmed${windowInWords(leaf.confirmed)}`;
  if ('opened' in leaf) return `opened${mailInWords(leaf.opened)}${windowInWords(leaf.opened)}`;
  if ('clicked' in leaf) return `clicked${mailInWords(leaf.clicked)}${windowInWords(leaf.clicked)}`;
  if ('received' in leaf) return `received${mailInWords(leaf.received)}${windowInWords(leaf.received)}`;
  if ('purchased' in leaf) {
    const { product } = leaf.purchased;
    return `bought ${product === undefined ? 'anything' : `“${product}”`}${windowInWords(leaf.purchased)}`;
  }
  if ('member' in leaf) {
    const { product, is } = leaf.member;
    const how = {
      active: 'member',
      ended: 'membership over',
      refunded: 'membership refunded',
      ever: 'ever member',
    }[is];
    return product === undefined ? how : `${how} by “${product}”`;
  }
  if ('event' in leaf) {
    const { name, atLeast = 1 } = leaf.event;
    return `event “${name}”${atLeast === 1 ? '' : ` at least ${atLeast} times`}${windowInWords(leaf.event)}`;
  }
  if ('affiliate' in leaf) {
    if (leaf.affiliate === 'self') return 'affiliates';
    return `came by ${leaf.affiliate === 'any' ? 'an affiliate' : `the affiliate “${leaf.affiliate}”`}`;
  }
  if ('split' in leaf) {
    const { broadcast, funnel = '', step = '', arm } = leaf.split;
    const test = broadcast === undefined ? `“${step}” of “${funnel}”` : `broadcast ${broadcast}`;
    return arm === HOLDOUT ? `held out of the split test ${test}` : `arm “${arm}” of the split test ${test}`;
  }
  if ('sequence' in leaf) {
    const { key, is } = leaf.sequence;
    const how = { active: 'in', ever: 'ever in', completed: 'through', exited: 'left' }[is];
    return `${how} the sequence “${key}”`;
  }
  return 'funnel' in leaf ? `in the funnel “${leaf.funnel}”` : `came by the form “${leaf.form}”`;
}

function fieldInWords(condition: FieldCondition): string {
  const start = `${condition.field} ${OPERATOR_WORDS[condition.op]}`;
  if (condition.op === 'isSet') return start;
  if (condition.op === 'oneOf') return `${start} ${condition.value.map((one) => `“${one}”`).join(', ')}`;
  const days = condition.op === 'withinDays' || condition.op === 'inNextDays';
  if (days) return `${start} ${condition.value} days`;
  return `${start} ${typeof condition.value === 'string' ? `“${condition.value}”` : String(condition.value)}`;
}

function windowInWords({ withinDays, since, until }: TimeWindow): string {
  return [
    withinDays === undefined ? '' : ` in the last ${withinDays} days`,
    since === undefined ? '' : ` since ${momentInWords(since)}`,
    until === undefined ? '' : ` before ${momentInWords(until)}`,
  ].join('');
}

/** A day stays as it is: it begins on the owner's clock. */
function momentInWords(given: string): string {
  const [day = '', time] = given.split('T');
  return time === undefined ? day : `${new Date(given).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function mailInWords({ broadcast, funnel, step }: MailFilter): string {
  if (broadcast !== undefined) return ` broadcast ${broadcast}`;
  if (funnel === undefined) return '';
  return step === undefined ? ` a mail of “${funnel}”` : ` “${step}” of “${funnel}”`;
}
