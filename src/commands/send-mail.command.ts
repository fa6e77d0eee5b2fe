import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { z } from 'zod';
import { apiMailRequest } from '../delivery/api-mails/api-mails.schemas.js';
import type { CommandTools } from './command-tools.js';

interface Choice {
  to: string;
  data?: string;
  subject?: string;
  replyTo?: string;
  funnel?: string;
}

/** As `POST /api/v1/messages`. It is planned here, and the process that sends takes it from there. */
export function addSendMailCommand(program: Command, { within, print, wrongUse }: CommandTools): void {
  program
    .command('send-mail')
    .description('send one mail of a template to one address that waits for it, such as a receipt')
    .argument('<template>', 'such as emails/shipped')
    .requiredOption('--to <address>', 'of a subscriber or of anybody else')
    .option('--data <json>', 'what it prints as {{ data.… }}: JSON, or @FILE with it')
    .option('--subject <text>', 'in place of its own')
    .option('--reply-to <address>', 'where answers go')
    .option('--funnel <key>', 'whose sender it has; by default the first')
    .option('--once <name>', 'sends no other mail that has the same name')
    .option('--preview', 'only show it')
    .option('--json')
    .action(
      async (
        template: string,
        {
          once,
          preview = false,
          json = false,
          ...choice
        }: Choice & { once?: string; preview?: boolean; json?: boolean },
      ) => {
        const asked = await read(template, choice);
        if (!asked.success) return wrongUse(program, asked.error.issues);
        const wanted = asked.data;
        await within(async ({ apiMails }) => {
          if (preview) {
            const shown = await apiMails.preview(wanted);
            print(json, shown, () => `Subject: ${shown.subject}\n\n${shown.text}`);
            return;
          }
          const name = once === undefined ? undefined : `command:${once}`;
          const messageId = await apiMails.send(wanted, name);
          print(json, { messageId }, () => `It goes to ${wanted.to.address}: mail ${messageId}.`);
        });
      },
    );
}

/** What is no JSON is refused with its reason, as what is none of a mail. */
async function read(template: string, { data = '{}', ...choice }: Choice): Promise<Read> {
  try {
    const given: unknown = JSON.parse(data.startsWith('@') ? await readFile(data.slice(1), 'utf8') : data);
    return apiMailRequest.safeParse({ template, ...choice, data: given });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { success: false, error: { issues: [{ code: 'custom', path: ['data'], message }] } };
  }
}

type Read =
  | { success: true; data: z.output<typeof apiMailRequest> }
  | { success: false; error: { issues: z.core.$ZodIssue[] } };
