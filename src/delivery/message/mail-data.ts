type Data = Record<string, unknown>;

/**
 * What a mail prints that goes at `now`. One that tells its reader of an earlier promise may be kept waiting, by a pause, a
 * cap or its relay, until that is over: it then tells what it has been given in its place, and no price that nobody asks.
 */
export function dataAt(data: Data, now: Date): Data {
  const { offerAfter, ...told } = data;
  if (offerAfter === undefined) return data;
  return isOver(told['offer'], now) ? { ...told, offer: offerAfter } : told;
}

function isOver(offer: unknown, now: Date): boolean {
  if (typeof offer !== 'object' || offer === null || !('expiresAt' in offer)) return false;
  return Date.parse(String(offer.expiresAt)) <= now.getTime();
}
