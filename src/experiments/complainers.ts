import { loudest } from '../delivery/guards/organisations.js';

/** Of one who complained of a mail of an arm: the address, and how many of the arm's people read at its domain. */
export interface Complainer {
  arm: string;
  address: string;
  domain: string;
  people: number;
}

/** How many of the complaints are of the organisation, or mailbox, with the most of them, where few of the arm's people are there. */
export function complaintsOfOne(complainers: readonly Omit<Complainer, 'arm'>[], all: number): number {
  const said = complainers.map(({ address, domain }) => ({ address, domain, count: 1 }));
  const mails = new Map(complainers.map(({ domain, people }) => [domain, people]));
  return loudest(said, { mails, all })?.count ?? 0;
}
