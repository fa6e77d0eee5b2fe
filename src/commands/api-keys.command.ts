import type { Command } from 'commander';
import type { ApiKey } from '../infra/access/api-keys.service.js';
import type { CommandTools } from './command-tools.js';

/** More than anybody has. */
const ALL = 10_000;

export function addKeyCommands(program: Command, { within, print }: CommandTools): void {
  const keys = program.command('api-key').description('keys for the REST API');
  keys
    .command('create')
    .argument('<name>')
    .option('--json')
    .action(async (name: string, { json = false }: { json?: boolean }) =>
      within(async ({ apiKeys }) => {
        const created = await apiKeys.create(name);
        print(json, created, () => `${created.key}\nIt is shown this once only.`);
      }),
    );
  keys
    .command('list')
    .description('all keys, newest first, with when each was last used')
    .option('--json')
    .action(async ({ json = false }: { json?: boolean }) =>
      within(async ({ apiKeys }) => {
        const all = await apiKeys.list(ALL);
        print(json, all, () => (all.length === 0 ? 'There is no key.' : all.map(inWords).join('\n')));
      }),
    );
  keys
    .command('revoke')
    .description('let a key in no more; name it by its id, or by how it begins, as in ws_abcdefgh')
    .argument('<key>')
    .option('--json')
    .action(async (key: string, { json = false }: { json?: boolean }) =>
      within(async ({ apiKeys }) => {
        const { id, name } = await apiKeys.named(key);
        await apiKeys.revoke(id);
        print(json, { id, name }, () => `The key "${name}" opens nothing any more.`);
      }),
    );
}

function inWords({ id, prefix, name, createdAt, lastUsedAt, revokedAt }: ApiKey): string {
  const used = lastUsedAt === null ? 'never used' : `last used ${lastUsedAt.toISOString()}`;
  const revoked = revokedAt === null ? '' : `, revoked ${revokedAt.toISOString()}`;
  return `${id}  ws_${prefix}…  ${name}: made ${createdAt.toISOString()}, ${used}${revoked}`;
}
