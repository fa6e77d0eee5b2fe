import { createHmac } from 'node:crypto';
import { z } from 'zod';

const origin = z.object({ ip: z.string(), userAgent: z.string(), pageUrl: z.string() });

const keptSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('signup'),
    at: z.coerce.date(),
    slug: z.string(),
    /** What the page said then; the form may say something else by now. */
    consentText: z.string(),
    email: z.string(),
    name: z.string().optional(),
    timeZone: z.string().optional(),
    answers: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    origin,
    source: z.object({ cookie: z.string().optional(), code: z.string().optional() }),
    headers: z.record(z.string(), z.string()),
    /** The marks of the advertisement they came by. */
    utm: z.record(z.string(), z.string()).optional(),
  }),
  /** The button of the mail that asks. */
  z.object({ kind: z.literal('confirmation'), at: z.coerce.date(), token: z.string(), origin }),
]);

/** What somebody has pressed while the database did not take it. */
export type KeptSignup = z.output<typeof keptSchema>;

/** Null for what is none of ours. */
export function readKeptSignup(text: string): KeptSignup | null {
  try {
    return keptSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

/** Without what PostgreSQL has no place for: it would be handed in in vain for ever. */
export function writeKeptSignup(kept: KeptSignup): string {
  return JSON.stringify(kept, (_, value: unknown) =>
    typeof value === 'string' ? value.replaceAll('\0', '').toWellFormed() : value,
  );
}

/** The same for whoever presses twice in one browser: that is one. From another browser it may be somebody else. */
export function nameOfKept(secret: Buffer, kept: KeptSignup): string {
  const { ip, userAgent } = kept.origin;
  const what = kept.kind === 'signup' ? [kept.slug, kept.email.toLowerCase(), ip, userAgent] : [kept.token];
  return `${createHmac('sha256', secret)
    .update(`kept-signup\0${JSON.stringify(what)}`)
    .digest('hex')}.json`;
}
