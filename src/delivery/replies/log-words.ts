import type { Settlement } from './settlement.js';

type Told = Pick<Settlement, 'state' | 'stage' | 'code' | 'relay'>;

/**
 * What a try came to, for the log: the code and the relay's name. Of what a server has said no more, as it likes to quote
 * addresses. Pure.
 */
export function logWords(settlement: Told): string {
  const { stage, code, relay } = settlement;
  const by = relay === null || stage === 'render' ? '' : `${code ? ' by' : ', relay'} ${relay}`;
  return `${came(settlement)}${by} (${code ? `${code} at ${stage}` : `stage: ${stage}`})`;
}

function came({ state, stage, code }: Told): string {
  switch (state) {
    case 'ready':
      if (code) return 'put off';
      return stage === 'body' ? 'no answer, sent once more' : 'not sent for now';
    case 'rejected':
      return code ? 'refused' : 'cannot be sent';
    case 'held':
      return code ? 'refused because of the sender' : 'held for the owner';
    case 'expired':
      return code ? 'put off for the last time' : 'not sent, and given up';
    case 'unknown':
      return 'no answer, which may have been taken';
    case 'held_back':
      return 'held back';
    case 'accepted':
      return 'taken';
    default:
      return state satisfies never;
  }
}
