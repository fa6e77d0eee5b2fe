import { readPaceKey } from './bucket-keys.js';

const GROUPS: Readonly<Record<string, string>> = {
  gmail: 'Gmail',
  outlook: 'Outlook',
  yahoo: 'Yahoo',
  other: 'all other servers',
};

/** A bucket's key in the owner's words. */
export function limitName(key: string): string {
  const colon = key.indexOf(':');
  const [kind, rest] = colon < 0 ? [key, ''] : [key.slice(0, colon), key.slice(colon + 1)];
  switch (kind) {
    case 'global':
      return 'All mails';
    case 'ledger':
      return 'the ledger';
    case 'signing':
      return 'DKIM keys';
    case 'relay':
      return 'what the relays take';
    case 'sender':
      return `From ${rest}`;
    case 'group':
      return `To ${GROUPS[rest] ?? rest}`;
    case 'lane': {
      const pace = readPaceKey(key);
      const [sender, group, receiver] = pace?.queueKey.split('|') ?? [];
      if (!sender || group === undefined) return rest;
      const to = receiver ? `the servers of ${receiver}` : (GROUPS[group] ?? group);
      return `From ${sender} to ${to}${pace?.relay ? ` by ${pace.relay}` : ''}`;
    }
    default:
      return key;
  }
}
