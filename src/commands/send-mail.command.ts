import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { z } from 'zod';
import { apiMailRequest } from '../delivery/preflight/api-mails.schemas.js';
import { DomainError } from '../values/domain-error.js';
import type { CommandTools } from './command-tools.js';

interface Choice {
  to: string;
  data?: string;
  subject?: string;
  replyTo?: string;
  funnel?: string;
}

/** As `POST /api/v1/messages`. It is planned here, and the process that sends takes it from there. */
export function addSendMailCommand(program: Command, { within, print }: CommandTools): void {
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
        const wanted = await wantedMail(template, choice);
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

async function wantedMail(
  template: string,
  { data = '{}', ...choice }: Choice,
): Promise<z.output<typeof apiMailRequest>> {
  const parsed = apiMailRequest.safeParse({ template, ...choice, data: await jsonOf(data) });
  if (parsed.success) return parsed.data;
  const reasons = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new DomainError('REQUEST_INVALID', reasons.join('\n'));
}

async function jsonOf(given: string): Promise<unknown> {
  try {
    return JSON.parse(given.startsWith('@') ? await readFile(given.slice(1), 'utf8') : given) as unknown;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError('REQUEST_INVALID', `--data: ${reason}`, { field: 'data' }, { cause });
  }
}
