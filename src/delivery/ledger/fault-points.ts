import { channel } from 'node:diagnostics_channel';

/** The moments of a mail's way at which a crash leaves something different behind. */
export const DELIVERY_POINTS = [
  'claimed',
  'mail-from',
  'rcpt',
  'data-354',
  'barrier-sent',
  'barrier-done',
  'body-half',
  'body-sent',
  'reply-250',
  'settle-sent',
  'settled',
] as const;

type DeliveryPoint = (typeof DELIVERY_POINTS)[number];

const probe = channel('wellspring:delivery');

/** Tells who listens on the diagnostics channel `wellspring:delivery`, at no cost when nobody does. */
export function passing(point: DeliveryPoint, id: string): void {
  if (probe.hasSubscribers) probe.publish({ point, id });
}

/** Whether somebody watches: then the body goes in two halves, with a point between them. */
export function isWatched(): boolean {
  return probe.hasSubscribers;
}
