import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { CommandTools } from './command-tools.js';
import { judgeUserAgent } from '../tracking/user-agent.js';
import { parseEmailAddress } from '../values/email-address.js';

interface Judged {
  input: string;
  verdict: string;
  reason: string;
  recipients?: string[];
}

const STANDARD_INPUT = 0;

const BY_LINE: Readonly<Record<string, (input: string) => Judged>> = {
  address: (input) => {
    const parsed = parseEmailAddress(input);
    return { input, verdict: parsed.ok ? 'accept' : 'reject', reason: parsed.ok ? '' : parsed.reason };
  },
  'user-agent': (input) => {
    const { kind, reason } = judgeUserAgent(input);
    return { input, verdict: kind === 'person' ? 'human' : 'machine', reason };
  },
};

/** `inspect`: shows how what comes from outside is judged, without a database. */
export function addInspectCommand(program: Command, print: CommandTools['print']): void {
  program
    .command('inspect')
    .description(
      'show how mails to the bounce address (one a file), addresses or user agents (one a line) are judged',
    )
    .argument('<what>', 'bounce, address or user-agent')
    .argument('[files...]', 'standard input when there are none')
    .option('--json')
    .action(async (what: string, files: string[], { json = false }: { json?: boolean }) => {
      const byLine = BY_LINE[what];
      if (!byLine && what !== 'bounce') {
        program.error(`inspect takes bounce, address or user-agent, not "${what}"`);
      }
      const missing = files.find((file) => !existsSync(file));
      if (missing !== undefined) program.error(`there is no file ${missing}`);
      const results = byLine ? lines(files).map(byLine) : mails(files);
      for await (const judged of results) print(json, judged, () => inWords(judged));
    });
}

function inWords({ verdict, input, reason, recipients = [] }: Judged): string {
  return [verdict, input, reason, recipients.join(' ')].filter((part) => part !== '').join('\t');
}

function lines(files: string[]): string[] {
  const sources = files.length === 0 ? [STANDARD_INPUT] : files;
  return sources
    .flatMap((source) => readFileSync(source, 'utf8').split(/\r?\n/))
    .filter((line) => line !== '');
}

/** Each file is one mail. Standard input is one mail too, or a list of such files, one a line. */
async function* mails(files: string[]): AsyncGenerator<Judged> {
  if (files.length === 0) {
    const given = readFileSync(STANDARD_INPUT);
    const names = given
      .subarray(0, 1_000_000)
      .toString('utf8')
      .split(/\r?\n/)
      .filter((line) => line !== '');
    if (names.length > 0 && names.every((name) => existsSync(name))) yield* mails(names);
    else yield inspectMail('standard input', given);
    return;
  }
  for (const file of files) yield inspectMail(file, readFileSync(file));
}

async function inspectMail(input: string, raw: Uint8Array): Promise<Judged> {
  const { judgeMail } = await import('../bounces/judge-mail.js');
  const { verdict, reason, findings } = await judgeMail(raw);
  const recipients = findings.flatMap(({ recipient }) => recipient ?? []);
  return { input, verdict, reason, recipients: [...new Set(recipients)] };
}
