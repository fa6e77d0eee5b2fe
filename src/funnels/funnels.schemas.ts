import { preflightResponse } from '../delivery/preflight/templates.schemas.js';
import { z } from 'zod';
import { idSchema, pageOf, pageQuery, pageQueryBy } from '../infra/http/page.js';
import { moveChoice, movePreviewShape } from '../sequences/moves/people-moves.schemas.js';
import { formShape, offerShape, productShape } from './schemas/funnel.schemas.js';
import { RULES, type RuleName } from './lint/rules.js';
import { parsePlanTokens } from './changes/plan-token.js';

export const funnelKey = z.string().regex(/^[a-z0-9-]{1,60}$/, 'use the key of a funnel');

export const funnelResponse = z.object({
  key: z.string(),
  title: z.string(),
  version: z.number().int(),
  updatedAt: z.iso.datetime(),
  archivedAt: z.iso.datetime().nullable(),
  peopleAfter: z
    .enum(['end', 'finish'])
    .nullable()
    .meta({ description: 'Of an archived one, what becomes of who is in its sequence.' }),
  definition: z.record(z.string(), z.unknown()),
});

export const funnelList = pageOf(funnelResponse);

export const funnelListQuery = pageQuery.extend({
  archived: z
    .enum(['true', 'false'])
    .default('false')
    .meta({ description: 'true: those that are archived, and no others.' }),
});

const changeOptions = {
  dryRun: z.boolean().default(false).meta({ description: 'True: answer with the plan and change nothing.' }),
  movePeople: moveChoice.optional().meta({
    description:
      'What becomes of the people in the sequence. Without it they stay in the version they joined.',
  }),
  plan: z
    .string()
    .transform((text, context) => {
      const tokens = parsePlanTokens(text);
      if (tokens) return tokens;
      context.addIssue({ code: 'custom', message: 'use the token of a plan, from a call with dryRun' });
      return z.NEVER;
    })
    .optional()
    .meta({
      description:
        'Token of a plan: do what it showed, or nothing. Where it takes people along it is refused when somebody who was there then would get, or lose, a mail that it did not show; who has come past a mail since does not get it, and who has joined since is no part of it.',
    }),
};

const files = z.record(z.string(), idSchema).optional().meta({
  description:
    'By the names that the funnel gives to files, such as files/guide.pdf, the ids that POST /api/v1/files answered with. The others stay as they are.',
});

export const applyBody = z.strictObject({
  yaml: z
    .string()
    .max(800_000, 'at most 800000 characters; apply larger files by the command')
    .meta({ description: 'The funnel as YAML, the same text as a file in config/funnels.' }),
  files,
  ...changeOptions,
  unarchive: z.boolean().default(false).meta({
    description: 'True: a funnel that is archived comes back by this. Without it such a change is refused.',
  }),
});

export const deliveredFile = z.object({
  id: z.string(),
  fileName: z.string(),
  contentType: z.string(),
  sizeBytes: z.number().int(),
  sha256: z.string().meta({ description: 'As hex.' }),
});

export const fileQuery = z.strictObject({
  name: z
    .string()
    // The letters that a funnel may name a file by; no file system has longer names.
    .regex(/^(?!.*\.\.)[. -]*\w[\w. -]*$/, 'use a file name without a folder, such as guide.pdf')
    .max(255, 'at most 255 characters')
    .meta({ description: 'The last part of the name that funnels give to it, such as guide.pdf.' }),
});

export const fileList = pageOf(
  deliveredFile.extend({
    name: z.string().meta({ description: 'As the funnel names it, such as files/guide.pdf.' }),
    url: z.string().meta({ description: 'Gives the file for an hour.' }),
  }),
);
export const fileListQuery = pageQueryBy(z.string());

export const exportQuery = z.strictObject({
  templates: z
    .enum(['true', 'false'])
    .default('true')
    .meta({ description: 'Whether the texts of mails and pages come along.' }),
});

export const rollbackBody = z.strictObject({
  to: z
    .int({ error: 'use the number of a version, from 1' })
    .min(1, 'use the number of a version, from 1')
    .max(2_147_483_647, 'use the number of a version, from 1')
    .optional()
    .meta({ description: 'The version to bring back; by default the one before the present.' }),
  ...changeOptions,
});

const price = z.strictObject({
  amountMinor: z.int({ error: 'use whole minor units, such as 4900 for 49.00' }).min(0, 'use 0 or more'),
  currency: z.string().regex(/^[A-Z]{3}$/, 'use a currency of three capital letters, such as EUR'),
});
const ofFunnel = {
  funnel: funnelKey.meta({ description: 'Key of the funnel it belongs to.' }),
  ...changeOptions,
};

export const productBody = z.strictObject({
  ...ofFunnel,
  ...productShape.omit({ key: true, price: true }).shape,
  price,
});

export const offerBody = z.strictObject({
  ...ofFunnel,
  ...offerShape.omit({ key: true, discount: true }).shape,
  discountBps: z
    .int({ error: 'use basis points: 3000 is 30%' })
    .min(0, 'use 0 to 10000')
    .max(10_000, 'use 0 to 10000')
    .default(0),
});

export const formBody = z.strictObject({ ...ofFunnel, ...formShape.omit({ slug: true }).shape });

/** Checked with its funnel, which says of each step what is wrong. */
export const sequenceBody = z.strictObject({
  sequence: z.record(z.string(), z.unknown()).meta({
    description: 'As `sequence` in a funnel file; see /schema/funnel.json.',
  }),
  ...changeOptions,
});

export type ChangeBody = Pick<z.output<typeof applyBody>, 'dryRun' | 'movePeople' | 'plan'>;

const people = z.object({
  sequence: z.string(),
  choice: z.enum(['stay', 'forward-only', 'catch-up', 're-map']).meta({
    description: '`stay`: nobody is moved, and the numbers are those that forward-only would give.',
  }),
  ...movePreviewShape,
  steps: z
    .array(
      z.object({ step: z.string(), isNew: z.boolean(), ahead: z.number().int(), past: z.number().int() }),
    )
    .meta({ description: 'How people stand to the steps that are new or changed.' }),
});

const finding = z.object({
  rule: z.enum(Object.keys(RULES) as [RuleName, ...RuleName[]]),
  severity: z.enum(['error', 'warning']),
  line: z.number().int().nullable().meta({ description: 'From 1; null when no file is at hand.' }),
  field: z.string(),
  message: z.string(),
});

/** Of whatever changes a funnel. */
export const APPLY_ERRORS = [
  'FUNNEL_INVALID',
  'FUNNEL_FILE_INVALID',
  'FUNNEL_PLAN_CONFLICT',
  'FUNNEL_ARCHIVED_CONFLICT',
  'STEP_NOT_FOUND',
  'FIELD_TYPE_CONFLICT',
  'FORM_SLUG_CONFLICT',
  'OFFER_SLUG_CONFLICT',
  'PRODUCT_KEY_CONFLICT',
];

/** The smallest funnel that can be applied. */
export const FUNNEL_EXAMPLE = `funnel: spring
title: What grows in spring
sender: { name: Ada, email: ada@example.com, postalAddress: "1 Main St, Springfield" }
form: { slug: spring, headline: What grows in spring, consent: Send me a letter a week. }
sequence:
  steps:
    - { key: welcome, email: emails/story }
`;

export const lintBody = applyBody.pick({ yaml: true });

export const lintResponse = z.object({
  ok: z.boolean().meta({ description: 'False when there are errors: the funnel would be refused.' }),
  findings: z.array(finding),
});

export const planResponse = z.object({
  funnel: z.string(),
  applied: z.boolean(),
  changes: z.array(z.object({ sign: z.enum(['+', '~', '-']), object: z.string(), detail: z.string() })),
  people: z.array(people),
  words: z.array(z.string()),
  warnings: z.array(finding),
  token: z
    .string()
    .meta({ description: 'Stands for this plan; send it as `plan` to apply this or nothing.' }),
});

export const rollbackResponse = planResponse.extend({ to: z.number().int() });

export const versionList = pageOf(
  z.object({
    version: z.number().int(),
    appliedAt: z.iso.datetime(),
    restored: z.number().int().nullable().meta({ description: 'The version that a rollback brought back.' }),
    appliedBy: z.string().nullable().meta({
      description:
        'An address of the web app, `API`, `command` or `start`; null in versions of before this was kept.',
    }),
    changes: z.array(z.string()),
  }),
);

export const funnelPreflight = z.object({
  funnel: z.string(),
  ok: z.boolean().meta({ description: 'False when something must be put right before the first mail.' }),
  mails: z.array(preflightResponse),
  sender: preflightResponse.shape.findings.meta({
    description: 'What the DNS says of the sender’s domain, where it is not good.',
  }),
});
