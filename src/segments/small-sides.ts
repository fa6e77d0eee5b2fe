import { SUBSCRIBER_STATUSES } from '../subscribers/subscription-status.js';
import type { TimeWindow } from './condition.js';
import { boundsOf, type OwnerClock } from './days.js';
import { allOf, anyOf, type NormalForm, type FormLeaf, othersThan } from './normal-form.js';

interface Sides extends OwnerClock {
  /** About half of the people signed up before it; null when there is nobody. */
  middleSignUp: Date | null;
}

/**
 * The same people, with status and sign-up asked of those who are fewer: most subscribers are active, and who is not in
 * one status is in another; who signed up in a window did not before or behind it.
 */
export function smallSidesOf(form: NormalForm, sides: Sides): NormalForm {
  if ('all' in form) return allOf(form.all.map((one) => smallSidesOf(one, sides)));
  if ('any' in form) return anyOf(form.any.map((one) => smallSidesOf(one, sides)));
  const { leaf, is } = form;
  if ('status' in leaf && leaf.status.includes('active')) {
    const others = SUBSCRIBER_STATUSES.filter((status) => !leaf.status.includes(status));
    return { leaf: { status: others }, is: !is };
  }
  if ('signedUp' in leaf) {
    const outside = outsideOf(leaf.signedUp, sides);
    if (outside !== null) return is ? othersThan(outside) : outside;
  }
  return form;
}

/** Those who signed up before the window or behind it, if the middle lies in it. */
function outsideOf(window: TimeWindow, sides: Sides): NormalForm | null {
  const { middleSignUp } = sides;
  const { from, until } = boundsOf(window, sides);
  if (middleSignUp === null || (from === undefined && until === undefined)) return null;
  const begins = from === undefined || Date.parse(from) <= middleSignUp.getTime();
  const lasts = until === undefined || Date.parse(until) > middleSignUp.getTime();
  if (!begins || !lasts) return null;
  const windows: TimeWindow[] = [
    ...(from === undefined ? [] : [{ until: from }]),
    ...(until === undefined ? [] : [{ since: until }]),
  ];
  return anyOf(windows.map((signedUp): FormLeaf => ({ leaf: { signedUp }, is: true })));
}
