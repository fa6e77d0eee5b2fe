import { z } from 'zod';
import { UNSENT } from '../../delivery/generation/generation.js';
import { formText } from '../../infra/http/form-text.schemas.js';

/** The owner's word about a database that refuses to send. No default: it is a decision. */
export const confirmForm = z.object({
  unsent: z.enum(UNSENT, { error: 'Choose what to do with the mails.' }),
});
export type ConfirmForm = z.output<typeof confirmForm>;

export const sequenceForm = z.object({ funnel: z.string().min(1).max(200) });
export type SequenceForm = z.output<typeof sequenceForm>;

export const heldMailsForm = z.object({
  reason: formText.pipe(z.string().max(500)),
  decision: z.enum(['release', 'cancel'], { error: 'Choose to send or to cancel them.' }),
});
export type HeldMailsForm = z.output<typeof heldMailsForm>;
