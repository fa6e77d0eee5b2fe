import { fieldProblems, messagesByField } from '../../infra/http/field-problems.js';
import { MEMBERSHIP_STATES, type MembershipState } from '../../orders/memberships/membership.js';
import { endBody, grantBody } from '../../orders/memberships/memberships.schemas.js';
import { typedTexts } from '../forms/typed-text.js';

const MAX_CHARS = 600;

/** Whom the owner looks for; empty texts are not asked. */
export interface MembershipSearch {
  q: string;
  /** Key of a product. */
  product: string;
  state: MembershipState | '';
}

export function readMembershipSearch(query: unknown): MembershipSearch {
  const get = typedTexts(query, MAX_CHARS);
  const state = MEMBERSHIP_STATES.find((one) => one === get('state')) ?? '';
  return { q: get('q'), product: get('product'), state };
}

/** What stands in the forms of a membership; `seen` is what the page showed when it was sent. */
export interface MembershipTyped {
  email: string;
  product: string;
  lasts: string;
  reason: string;
  seen: string;
}

export function membershipTypedFrom(body: unknown): MembershipTyped {
  const get = typedTexts(body, MAX_CHARS);
  const [email, product, lasts] = [get('email'), get('product'), get('lasts')];
  return { email, product, lasts, reason: get('reason'), seen: get('seen') };
}

export type MembershipErrors = Partial<Record<'form' | 'email' | 'product' | 'lasts' | 'reason', string>>;

/** What is wrong with a term and its reason, as the API would say; empty when it would take them. */
export function grantErrors({ lasts, reason }: Pick<MembershipTyped, 'lasts' | 'reason'>): MembershipErrors {
  const parsed = grantBody.pick({ lasts: true, reason: true }).safeParse({ lasts, reason });
  return parsed.success ? {} : messagesByField(fieldProblems(parsed.error.issues, 'form', grantBody));
}

export function endErrors({ reason }: Pick<MembershipTyped, 'reason'>): MembershipErrors {
  const parsed = endBody.safeParse({ reason });
  return parsed.success ? {} : messagesByField(fieldProblems(parsed.error.issues, 'form', endBody));
}
