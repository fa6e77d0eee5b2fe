import { createHash } from 'node:crypto';
import { armKey, armOfWords } from '../../broadcasts/split.js';
import { addDuration } from '../../values/duration.js';
import { parseEmailAddress } from '../../values/email-address.js';
import { FULL_BPS, parsePercentBps } from '../../values/money.js';
import {
  EVERY_BROADCAST,
  EVERY_MAIL,
  NUMBER_SIGN,
  OF_BROADCAST,
  parseRange,
  type Persona,
  type PersonaAction,
  type UpsellAnswer,
} from './personas.schemas.js';
import type { VirtualMail } from './virtual-record.js';
import { MINUTE_MS } from '../../values/time-units.js';

/** Something a person does at a time of theirs. `mail` is the one that they do it with or after. */
export interface PlannedAction {
  at: Date;
  action: PersonaAction;
  mail: VirtualMail | null;
}

/** One of the people of a persona. */
export interface Actor {
  persona: Persona;
  /** From 1 within the persona. */
  number: number;
  seed: string;
  /** In which their days are counted. */
  clockZone: string;
}

/** Who the person is, by their address; one is made up for those whose persona says none. */
export function emailKeyOf({ name, email }: Pick<Persona, 'name' | 'email'>, number: number): string {
  const parsed = parseEmailAddress(email?.replaceAll(NUMBER_SIGN, String(number)) ?? '');
  return parsed.ok ? parsed.key : `${name}-${number}@example.com`;
}

/** What the person does without a mail: times count from the sign-up. */
export function actionsFromSignUp(actor: Actor, signedUpAt: Date): PlannedAction[] {
  return actor.persona.does.flatMap((action, place) =>
    mailOf(action) === undefined ? planned(actor, action, { place, from: signedUpAt, mail: null }) : [],
  );
}

/** What the person does with a mail they have got, or because of it. `nth`: their how manieth mail it is. */
export function actionsAfterMail(actor: Actor, mail: VirtualMail, nth: number): PlannedAction[] {
  const { kind, step, sentAt } = mail;
  if ((kind !== 'sequence' && kind !== 'broadcast') || step === null || sentAt === null) return [];
  const [own, every] = kind === 'sequence' ? [step, EVERY_MAIL] : [OF_BROADCAST + step, EVERY_BROADCAST];
  return actor.persona.does.flatMap((action, place) => {
    const named = mailOf(action);
    if (named !== own && named !== every) return [];
    if (action.arm !== undefined && (mail.arm === null || armKey(armOfWords(mail.arm)) !== action.arm))
      return [];
    return planned(actor, action, { place, from: sentAt, mail, nth });
  });
}

/** What the person says to an offer after an order of theirs, and when; undefined: nothing. */
export function answerTo(
  actor: Actor,
  answers: readonly UpsellAnswer[],
  { orderId, offer, now }: { orderId: string; offer: string; now: Date },
): { answer: UpsellAnswer; at: Date } | undefined {
  const name = (place: number): string => `order ${orderId} answer ${place}`;
  const place = answers.findIndex(
    (answer, index) =>
      ('takes' in answer ? answer.takes : answer.declines) === offer &&
      comesUp(actor, answer.chance, name(index)),
  );
  const answer = answers[place];
  return answer && { answer, at: timeIn(actor, answer.after, name(place), now) };
}

/** The time in the span that falls to this person; the ends are included. */
export function timeIn(actor: Actor, text: string | undefined, name: string, from: Date): Date {
  if (text === undefined) return from;
  const span = parseRange(text);
  const first = addDuration(from, span.from, actor.clockZone).getTime();
  const last = addDuration(from, span.to, actor.clockZone).getTime();
  if (last <= first) return new Date(first);
  const minutes = Math.floor((last - first) / MINUTE_MS);
  return new Date(first + Math.floor(drawn(actor, `${name} time`) * (minutes + 1)) * MINUTE_MS);
}

/** The mail that the action is about, of a step or a broadcast; undefined for one that counts from the sign-up. */
export function mailOf(action: PersonaAction): string | undefined {
  if ('opens' in action) return action.opens;
  return 'clicks' in action ? action.clicks : action.afterMail;
}

function planned(
  actor: Actor,
  action: PersonaAction,
  { place, from, mail, nth = 0 }: { place: number; from: Date; mail: VirtualMail | null; nth?: number },
): PlannedAction[] {
  const name = `${place} ${nth}`;
  return comesUp(actor, action.chance, name)
    ? [{ at: timeIn(actor, action.after, name, from), action, mail }]
    : [];
}

function comesUp(actor: Actor, chance: string | undefined, name: string): boolean {
  return chance === undefined || drawn(actor, name) * FULL_BPS < parsePercentBps(chance);
}

/**
 * From 0 up to but not including 1, evenly. Made from the names of what is drawn, so that another persona or action
 * beside it changes nothing.
 */
function drawn({ seed, persona, number }: Actor, name: string): number {
  const digest = createHash('sha256').update(`${seed}\n${persona.name}\n${number}\n${name}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}
