import { z } from 'zod';

const count = z.number().int();

export const wordsResults = z
  .array(
    z.object({
      templateId: z.string().meta({ description: 'The version, as under `templates`.' }),
      template: z.string(),
      subject: z.string().meta({ description: 'As it was written, variables and all.' }),
      isCurrent: z.boolean().meta({ description: 'Whether mails that wait go with it.' }),
      ...{ sent: count, opened: count, clicked: count, bounced: count, complained: count },
    }),
  )
  .nullable()
  .meta({
    description:
      'The same by the words that the mails went with, the first ones first; null where those were not changed in a pause.',
  });

export const restWords = z.object({ template: z.string(), subject: z.string().nullable() }).nullable().meta({
  description: 'What the rest gets since its words were changed in a pause; null: the arm as it was tested.',
});
